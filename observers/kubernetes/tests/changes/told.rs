//! Events as lines that can be read and compared.

use bus_schema::event::kubernetes::{Action, Difference};
use bus_schema::event::{Body, Event};

/// An event of a change as its lines: what was changed and by whom, then one for each difference, then whom it affects.
/// `None` for what is no change.
pub(crate) fn lines(event: &Event) -> Option<Vec<String>> {
    let subject = event.subject.identity();
    let name = format!("{} {}", subject.kind, subject.name);
    let scaler = event.object.as_ref().map(bus_schema::Entity::label);
    let scaler = scaler.map(|scaler| format!(" for {scaler}")).unwrap_or_default();
    let flags = |flags: &[(&'static str, bool)]| {
        let set = flags.iter().filter(|(_, is_set)| *is_set);
        let set = set.flat_map(|(flag, _)| [", ", flag]);
        set.collect::<String>()
    };
    if let Body::ImageChanged(change) = &event.body {
        let flags = flags(&[("rollback", change.rollback), ("late", change.late)]);
        return Some(vec![
            format!("{name} changed by {}{flags}", change.manager),
            format!(
                "image {}: {} -> {}",
                change.container, change.old_image, change.new_image
            ),
        ]);
    }
    let Body::SpecChanged(change) = &event.body else {
        return None;
    };
    let action = match change.action {
        Action::Created => "created",
        Action::Deleted => "deleted",
        Action::Changed => "changed",
    };
    let flags = flags(&[
        ("replaces pods", change.replaces_pods),
        ("rollback", change.rollback),
        ("late", change.late),
    ]);
    let mut lines = vec![format!("{name} {action} by {}{scaler}{flags}", change.manager)];
    lines.extend(change.differences.iter().map(difference));
    let affected = change.affected.iter();
    let affected: Vec<_> = affected
        .map(|workload| format!("{} {}", workload.kind, workload.name))
        .collect();
    if !affected.is_empty() {
        lines.push(format!("affects {}", affected.join(", ")));
    }
    Some(lines)
}

fn difference(difference: &Difference) -> String {
    let value = |value: &Option<String>| match value.as_deref() {
        None => "-".to_owned(),
        Some("") => "*".to_owned(),
        Some(value) => value.to_owned(),
    };
    let Difference {
        aspect,
        container,
        name,
        old,
        new,
    } = difference;
    let aspect = format!("{aspect:?}").to_lowercase();
    let names = [aspect.as_str(), container, name];
    let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
    format!("{}: {} -> {}", names.join(" "), value(old), value(new))
}
