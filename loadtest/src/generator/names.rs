//! Names of services, pods, nodes and containers, made up.

use super::numbers::Dice;

const THINGS: [&str; 40] = [
    "account", "address", "basket", "billing", "booking", "campaign", "catalog", "claims", "coupon",
    "credit", "delivery", "device", "exchange", "feed", "fraud", "gift", "identity", "index", "invoice",
    "ledger", "loyalty", "mail", "menu", "offer", "order", "partner", "payment", "price", "product",
    "profile", "quote", "rating", "refund", "report", "review", "search", "session", "shipping", "tax",
    "wallet",
];
const PARTS: [&str; 8] = [
    "api", "worker", "svc", "core", "gateway", "proxy", "query", "writer",
];
const STORES: [&str; 6] = ["postgres", "redis", "mysql", "mongo", "etcd", "kafka"];
/// Letters of generated names, without vowels as Kubernetes has them.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Gives every name once.
#[derive(Debug, Default)]
pub(super) struct Names(std::collections::BTreeSet<String>);

impl Names {
    /// Of something that answers requests.
    pub(super) fn service(&mut self, dice: &mut Dice) -> String {
        let thing = dice.word(&THINGS);
        let name = if dice.chance(0.5) {
            format!("{thing}-{}", dice.word(&PARTS))
        } else {
            thing.to_owned()
        };
        self.only(name)
    }

    /// Of something that keeps data.
    pub(super) fn store(&mut self, dice: &mut Dice) -> String {
        let name = format!("{}-{}", dice.word(&THINGS), dice.word(&STORES));
        self.only(name)
    }

    /// This one, or with a number behind it.
    pub(super) fn only(&mut self, name: String) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let found = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.0.contains(name))
            .unwrap_or(name);
        self.0.insert(found.clone());
        found
    }
}

/// So many letters.
pub(super) fn letters(dice: &mut Dice, length: usize) -> String {
    let letter = |_| dice.one_of(LETTERS).map_or('x', |byte| char::from(*byte));
    (0..length).map(letter).collect()
}

/// A uid of Kubernetes.
pub(super) fn uid(dice: &mut Dice) -> String {
    let (high, low) = (dice.bits(), dice.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// A container's id, 64 hexadecimal digits.
pub(super) fn container(dice: &mut Dice) -> String {
    let [one, two, three, four] = std::array::from_fn(|_| dice.bits());
    format!("{one:016x}{two:016x}{three:016x}{four:016x}")
}
