//! Groups that are made to wait because they are above `memory.high` (cgroup v2): nobody is killed, and everything becomes slow.

use std::fs;
use std::path::Path;

use super::accounting::Limit;

const SECOND_NS: u64 = 1_000_000_000;
/// Who waits less than this part of the time is not asked what for.
const LEAST_STALLED: f64 = 0.01;

/// What one group has waited, and how often its limits were exceeded.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When it was last looked at (ns), and how long its tasks had waited by then (µs).
    stalled: Option<(u64, u64)>,
    exceeded: Option<Exceeded>,
}

/// A group that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttled {
    /// What is allowed, and whose that is.
    pub high: Limit,
    /// Share of the time since it was last looked at in which some task waited, 0 to 1.
    pub stalled: f64,
}

/// How often the least `memory.high` above a group was exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exceeded {
    high: Limit,
    times: u64,
}

impl Throttle {
    /// Looks at the group `path` below `mount` at `now_ns`, once a second. A group whose tasks wait is throttled where a limit has
    /// been exceeded meanwhile; the first look only takes note.
    pub fn look(&mut self, mount: &Path, path: &str, now_ns: u64) -> Option<Throttled> {
        let is_due = self
            .stalled
            .is_none_or(|(then_ns, _)| now_ns >= then_ns + SECOND_NS);
        let folder = mount.join(path.trim_start_matches('/'));
        let stalled_us = is_due.then(|| stalled_us(&folder))??;
        let before = self.stalled.replace((now_ns, stalled_us));
        let Some((then_ns, before_us)) = before else {
            self.exceeded = exceeded(mount, &folder);
            return None;
        };
        #[expect(clippy::cast_precision_loss, reason = "a share of some seconds")]
        let stalled = (stalled_us.saturating_sub(before_us) * 1000) as f64 / (now_ns - then_ns) as f64;
        if stalled < LEAST_STALLED {
            return None;
        }
        let now = exceeded(mount, &folder)?;
        let before = self.exceeded.replace(now.clone())?;
        let is_exceeded = before.high.group == now.high.group && now.times > before.times;
        is_exceeded.then_some(Throttled {
            high: now.high,
            stalled: stalled.min(1.0),
        })
    }
}

/// For how long some task of the group has waited for memory, µs since it was made; `None` where the kernel does not say.
fn stalled_us(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("memory.pressure")).ok()?;
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace()
        .find_map(|field| field.strip_prefix("total="))?
        .parse()
        .ok()
}

fn exceeded(mount: &Path, folder: &Path) -> Option<Exceeded> {
    let groups = folder.ancestors().take_while(|group| *group != mount);
    let limits = groups.filter_map(|group| {
        let bytes = fs::read_to_string(group.join("memory.high"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Some((bytes, group))
    });
    let (bytes, group) = limits.min_by_key(|(bytes, _)| *bytes)?;
    let events = fs::read_to_string(group.join("memory.events")).ok()?;
    let times = events.lines().find_map(|line| line.strip_prefix("high "))?;
    Some(Exceeded {
        high: Limit {
            bytes,
            group: format!("/{}", group.strip_prefix(mount).ok()?.display()),
        },
        times: times.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod with a limit, and its container.
    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(files.0.path().join("pod/app")).unwrap();
            files.write("pod/memory.high", "1000");
            files.write("pod/app/memory.high", "max");
            files
        }

        fn write(&self, file: &str, text: &str) {
            fs::write(self.0.path().join(file), format!("{text}\n")).unwrap();
        }

        fn says(&self, stalled_us: u64, times: u64) {
            let pressure =
                format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={stalled_us}\nfull avg10=0.00 total=0");
            self.write("pod/app/memory.pressure", &pressure);
            self.write("pod/memory.events", &format!("low 0\nhigh {times}\nmax 0"));
        }

        fn look(&self, throttle: &mut Throttle, second: u64) -> Option<Throttled> {
            throttle.look(self.0.path(), "/pod/app", second * SECOND_NS)
        }
    }

    #[test]
    fn who_waits_while_a_limit_above_is_exceeded_is_throttled() {
        let (files, mut throttle) = (Files::new(), Throttle::default());
        files.says(5_000_000, 7);
        assert_eq!(
            files.look(&mut throttle, 1),
            None,
            "of what was before nothing is known"
        );
        files.says(5_600_000, 9);
        let throttled = files.look(&mut throttle, 2).unwrap();
        assert!((throttled.stalled - 0.6).abs() < 1e-9, "{throttled:?}");
        assert_eq!(
            (throttled.high.bytes, throttled.high.group.as_str()),
            (1000, "/pod")
        );
        files.says(6_200_000, 9);
        assert_eq!(files.look(&mut throttle, 3), None, "it waits for something else");
        files.says(6_200_100, 12);
        assert_eq!(files.look(&mut throttle, 4), None, "it hardly waits");
    }

    #[test]
    fn without_a_limit_or_without_pressure_information_nobody_is_throttled() {
        let (files, mut throttle) = (Files::new(), Throttle::default());
        files.write("pod/memory.high", "max");
        for second in 1..4 {
            files.says(second * 900_000, second);
            assert_eq!(files.look(&mut throttle, second), None);
        }
        fs::remove_file(files.0.path().join("pod/app/memory.pressure")).unwrap();
        assert_eq!(files.look(&mut throttle, 4), None);
    }
}
