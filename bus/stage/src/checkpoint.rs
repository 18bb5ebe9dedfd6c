//! Where a stage begins: after the last checkpoint that can be read.

use bus_client::checkpoints::{Checkpoint, Checkpoints, Error};

use crate::Process;
use crate::process::chain;

/// The checkpoints of a partition, and the last one. From one that is damaged only its sequence is left: what came before it
/// was published, what the work remembered of it is gone.
///
/// # Errors
/// A sentence: the bus does not answer, or somebody with a later lease works here.
pub async fn open(
    process: &Process,
    name: &'static str,
    partition: u16,
    epoch: u64,
) -> Result<(Checkpoints, Option<Checkpoint>), String> {
    let opened = Checkpoints::open(&process.bus, name, partition, epoch).await;
    let mut checkpoints = opened.map_err(|error| chain(&error))?;
    let last = match checkpoints.read().await {
        Ok(last) => last,
        Err(error @ Error::Damaged { sequence, .. }) => {
            process.metrics.error("checkpoint_damaged");
            tracing::error!(
                stage = name,
                partition,
                sequence,
                error = chain(&error),
                "going on without what was remembered"
            );
            let state = Vec::new();
            (sequence > 0).then_some(Checkpoint { sequence, state })
        }
        Err(error) => return Err(chain(&error)),
    };
    Ok((checkpoints, last))
}
