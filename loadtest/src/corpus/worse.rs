//! A recording as a worse-off Tapio would have heard it: an observer is away, events are lost on the way, clocks differ, a node is
//! blind; or as it would have been in a less tidy cluster, where somebody innocent changes or complains just then.

mod blind;
mod clocks;
mod decoys;
mod losing;
mod real;

use std::fmt;

use anyhow::Result;
use bus_client::bundle::Recorded;
use bus_client::codec::Codec;
use bus_schema::Batch;
use correlator::run::replay::without::Without;

use super::Case;
use blind::Blind;
use clocks::Clocks;
pub use clocks::Half;
use losing::Losing;

/// Decides which events are lost, who changes, who complains, who is blind.
const SEED: u64 = 1;

/// What is worse.
#[derive(Debug, Clone, PartialEq)]
pub enum Worse {
    /// Nothing.
    Nothing,
    /// An observer is not there.
    Without(String),
    /// This share of the events is lost, and it is known how many.
    Losing(f64),
    /// Some seconds before each fault somebody is changed who has nothing to do with it.
    InnocentChange,
    /// While each fault lasts, somebody else has the small troubles of a control.
    NoisyBystander,
    /// The clocks of half of the observers are 80 ms behind those of the others.
    ClocksApart(Half),
    /// So many seconds after the first fault begins, all clocks are set back by ten minutes, the server's too.
    ClocksSetBack(u64),
    /// The kernel of one node tells nothing; in a recording of one node, nothing of the pods of a third of the workloads.
    BlindNode,
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("as recorded"),
            Self::Without(observer) => write!(f, "without {observer}"),
            Self::Losing(share) => write!(f, "{:.0} % of events lost", share * 100.0),
            Self::InnocentChange => f.write_str("innocent change before"),
            Self::NoisyBystander => f.write_str("noisy bystander"),
            Self::ClocksApart(half) => write!(f, "{half} clocks 80 ms behind"),
            Self::ClocksSetBack(after) => write!(f, "clocks set back after {after} s"),
            Self::BlindNode => f.write_str("blind node"),
        }
    }
}

impl Worse {
    /// All that happens to a recording besides losses and absent observers.
    pub const UNTIDY: [Self; 5] = [
        Self::InnocentChange,
        Self::NoisyBystander,
        Self::ClocksApart(Half::Even),
        Self::ClocksApart(Half::Odd),
        Self::BlindNode,
    ];

    /// The messages of a recording as they are then heard, in the order of the bus, and the same each time.
    ///
    /// # Errors
    /// When zstd has no memory, or what is left of a message cannot be encoded.
    pub fn of(&self, messages: Vec<Recorded>, cases: &[Case]) -> Result<Vec<Recorded>> {
        match self {
            Self::Nothing => Ok(messages),
            Self::Without(observer) => {
                let (without, mut codec) = (Without::Observer(observer.clone()), Codec::new()?);
                let left = messages
                    .into_iter()
                    .filter_map(|message| without.take_out(&mut codec, message).transpose());
                Ok(left.collect::<Result<_, _>>()?)
            }
            Self::Losing(share) => {
                let mut losing = Losing::new(*share);
                edited(messages, |batch| losing.lose(batch))
            }
            Self::InnocentChange => decoys::innocent_changes(messages, cases),
            Self::NoisyBystander => decoys::noisy_bystanders(messages, cases),
            Self::ClocksApart(half) => {
                let mut clocks = Clocks::new(*half);
                edited(messages, |batch| clocks.shift(batch))
            }
            Self::ClocksSetBack(after) => clocks::set_back(messages, cases, *after),
            Self::BlindNode => {
                let blind = Blind::of(&messages)?;
                edited(messages, |batch| blind.take_out(batch))
            }
        }
    }
}

/// Every batch edited; what tells of relations stays as it is.
fn edited(messages: Vec<Recorded>, mut edit: impl FnMut(&mut Batch)) -> Result<Vec<Recorded>> {
    let mut codec = Codec::new()?;
    let edited = messages.into_iter().map(|message| {
        if real::is_batch(&message) {
            message.edit(&mut codec, &mut edit)
        } else {
            Ok(message)
        }
    });
    Ok(edited.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests;
