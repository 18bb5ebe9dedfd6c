//! What is asked for: which sort of fault, in how large a system, by which seed.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, bail};

use super::numbers::Dice;

/// A sort of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A new version or variable with which a share of the requests fails.
    Release,
    /// A new version, a variable, a smaller CPU limit or nothing that anybody sees makes a service slow.
    Slow,
    /// A new version leaks until the kernel kills it.
    Leak,
    /// Processes are killed by somebody, or crash by themselves.
    Kill,
    /// Nobody is left behind a Service: scaled to none, or a selector without pods.
    Unserved,
    /// A `ConfigMap` with which its readers fail.
    Config,
    /// Packets lost between two, or somebody outside of the cluster who fails: no observer reports the cause.
    Unseen,
    /// Nothing is broken: rollouts, scaling, jobs, peaks.
    Control,
    /// One pod of several fails, is slow, cannot be reached or crashes, and nobody changed anything that matters.
    Replica,
    /// Rollouts that change nothing for anybody, also where somebody's requests always fail a little: there is nothing to tell.
    Harmless,
    /// Calls that fail for some seconds by nothing that anybody sees, and are well again: nobody can know why.
    Passing,
}

impl Family {
    /// Every sort of fault.
    pub const FAULTS: [Self; 8] = [
        Self::Release,
        Self::Slow,
        Self::Leak,
        Self::Kill,
        Self::Unserved,
        Self::Config,
        Self::Unseen,
        Self::Replica,
    ];

    /// Those of which two happen at once. One bad pod is hard enough to find alone.
    pub fn in_pairs() -> impl Iterator<Item = Self> + Clone {
        Self::FAULTS.into_iter().filter(|family| *family != Self::Replica)
    }

    /// Those whose right answer is that nothing is known.
    pub const UNCLEAR: [Self; 2] = [Self::Harmless, Self::Passing];

    /// Whether something is broken for long.
    pub fn is_fault(self) -> bool {
        Self::FAULTS.contains(&self)
    }

    /// Its name in lines and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Slow => "slow",
            Self::Leak => "leak",
            Self::Kill => "kill",
            Self::Unserved => "unserved",
            Self::Config => "config",
            Self::Unseen => "unseen",
            Self::Control => "control",
            Self::Replica => "replica",
            Self::Harmless => "harmless",
            Self::Passing => "passing",
        }
    }
}

/// How large the system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// 3 to 10 services.
    Small,
    /// 11 to 50 services.
    Medium,
    /// 51 to 300 services.
    Large,
}

impl Size {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// Its name in lines and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "3-10",
            Self::Medium => "11-50",
            Self::Large => "51-300",
        }
    }

    pub(super) fn services(self, dice: &mut Dice) -> usize {
        match self {
            Self::Small => dice.whole(3, 10),
            Self::Medium => dice.whole(11, 50),
            Self::Large => dice.whole(51, 300),
        }
    }
}

/// How the observers of a case are worse off. The same happens in the system without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handicaps {
    /// The clock of each node is another, by up to 80 ms.
    pub skewed: bool,
    /// The kernel observers of one node are nowhere, where there are several nodes.
    pub blind: bool,
}

impl Handicaps {
    const SKEWED: &str = "skewed";
    const BLIND: &str = "blind";

    fn names(self) -> Vec<&'static str> {
        let all = [(self.skewed, Self::SKEWED), (self.blind, Self::BLIND)];
        all.into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| name)
            .collect()
    }
}

impl FromStr for Handicaps {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut handicaps = Self::default();
        for name in text.split(',') {
            match name {
                Self::SKEWED => handicaps.skewed = true,
                Self::BLIND => handicaps.blind = true,
                _ => bail!("{name} is no handicap: {}, {}", Self::SKEWED, Self::BLIND),
            }
        }
        Ok(handicaps)
    }
}

/// One case, entirely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Sort of the fault; of two at once, of the first.
    pub family: Family,
    /// How large the system is.
    pub size: Size,
    /// Whether another fault of a random sort happens elsewhere at about the same time.
    pub two: bool,
    /// How the observers are worse off.
    pub handicaps: Handicaps,
    /// Decides everything else.
    pub seed: u64,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let two = if self.two { "+" } else { "" };
        let (family, size) = (self.family.as_str(), self.size.as_str());
        write!(f, "{family}{two}:{size}:{}", self.seed)?;
        let handicaps = self.handicaps.names();
        if handicaps.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", handicaps.join(","))
    }
}

impl FromStr for Plan {
    type Err = Error;

    /// `FAMILY:SIZE:SEED` as it is shown: `leak:11-50:7`, `kill+:3-10:1` for two at once; `leak:11-50:7:skewed,blind` with
    /// handicaps.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split(':');
        let (Some(family), Some(size), Some(seed), handicaps, None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            bail!("{text} is not FAMILY:SIZE:SEED");
        };
        let name = family.trim_end_matches('+');
        let known = Family::FAULTS
            .into_iter()
            .chain([Family::Control])
            .chain(Family::UNCLEAR);
        let found = known.into_iter().find(|known| known.as_str() == name);
        let sized = Size::ALL.into_iter().find(|known| known.as_str() == size);
        Ok(Self {
            family: found.with_context(|| format!("{name} is no family"))?,
            size: sized.with_context(|| format!("{size} is no size: 3-10, 11-50, 51-300"))?,
            two: family.ends_with('+') && found.is_some_and(Family::is_fault),
            handicaps: handicaps.map_or(Ok(Handicaps::default()), str::parse)?,
            seed: seed.parse().with_context(|| format!("{seed} is no seed"))?,
        })
    }
}
