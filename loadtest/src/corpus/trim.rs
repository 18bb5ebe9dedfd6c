//! What of a recording is about the cluster: what else ran on the host is nobody's business, and no part of any truth.

use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::Entity;
use bus_schema::batch::EncodeError;
use bus_schema::entity::HOST_NAMESPACE;
use bus_schema::names::TOPOLOGY_STREAM;

/// The unit of the campaign's users.
const USERS: &str = "store-users";

/// The message without what is about other processes of the host.
pub(super) fn trim(codec: &mut Codec, message: Recorded) -> Result<Recorded, EncodeError> {
    if message.stream == TOPOLOGY_STREAM {
        return Ok(message);
    }
    message.edit(codec, |batch| {
        batch.events.retain(|event| {
            let mut ends = [Some(&event.subject), event.object.as_ref()]
                .into_iter()
                .flatten();
            ends.any(|end| !is_strange(end))
        });
        for event in &mut batch.events {
            let ends = [Some(&mut event.subject), event.object.as_mut()];
            ends.into_iter()
                .flatten()
                .filter(|end| is_strange(end))
                .for_each(strip);
        }
    })
}

fn is_strange(entity: &Entity) -> bool {
    let is_process = entity.process.is_some() || entity.cgroup.is_some() || entity.workload.is_some();
    entity.namespace() == HOST_NAMESPACE && is_process && !entity.label().starts_with(USERS)
}

/// Who did something to the cluster is told by its program, and nothing else of it.
fn strip(entity: &mut Entity) {
    *entity = Entity {
        node: entity.node.take(),
        process: entity.process.take(),
        ..Entity::default()
    };
}
