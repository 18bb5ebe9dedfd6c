//! Who held which address from when to when.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Holder, is_remembered};

#[derive(Debug)]
struct Tenure {
    holder: Holder,
    since_ns: u64,
    until_ns: Option<u64>,
}

/// Every address and its holders.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    tenures: HashMap<IpAddr, Vec<Tenure>>,
    /// The addresses that each holder has now.
    held: HashMap<Holder, Vec<IpAddr>>,
}

impl Addresses {
    /// The holder, created at `created_ns`, has these addresses and no others, as told at `time_ns`.
    pub(super) fn become_those_of(
        &mut self,
        holder: &Holder,
        addresses: &[IpAddr],
        created_ns: u64,
        time_ns: u64,
    ) {
        let before = self.held.insert(holder.clone(), addresses.to_vec());
        for gone in before.into_iter().flatten() {
            if !addresses.contains(&gone) {
                self.end(gone, holder, time_ns);
            }
        }
        for address in addresses {
            self.begin(*address, holder, created_ns, time_ns);
        }
    }

    /// The holder is gone.
    pub(super) fn release(&mut self, holder: &Holder, time_ns: u64) {
        for address in self.held.remove(holder).into_iter().flatten() {
            self.end(address, holder, time_ns);
        }
    }

    /// Who held `address` at `time_ns`, else who did last before.
    pub(super) fn holder(&self, address: IpAddr, time_ns: u64) -> Option<&Holder> {
        let held = self
            .tenures
            .get(&address)?
            .iter()
            .filter(|tenure| tenure.since_ns <= time_ns);
        held.max_by_key(|tenure| (tenure.until_ns.unwrap_or(u64::MAX).min(time_ns), tenure.since_ns))
            .map(|tenure| &tenure.holder)
    }

    pub(super) fn forget(&mut self, now_ns: u64) {
        self.tenures.retain(|_, tenures| {
            tenures.retain(|tenure| is_remembered(tenure.until_ns, now_ns));
            !tenures.is_empty()
        });
    }

    /// The API server tells an address some time after it was given: whatever nobody else is known to have held since the
    /// holder was created is the holder's.
    fn begin(&mut self, address: IpAddr, holder: &Holder, created_ns: u64, time_ns: u64) {
        let tenures = self.tenures.entry(address).or_default();
        if tenures
            .iter()
            .any(|tenure| tenure.holder == *holder && tenure.until_ns.is_none())
        {
            return;
        }
        for tenure in tenures.iter_mut().filter(|tenure| tenure.until_ns.is_none()) {
            tenure.until_ns = Some(time_ns);
        }
        let free_ns = tenures.iter().filter_map(|tenure| tenure.until_ns).max();
        tenures.push(Tenure {
            holder: holder.clone(),
            since_ns: created_ns.max(free_ns.unwrap_or(0)),
            until_ns: None,
        });
    }

    fn end(&mut self, address: IpAddr, holder: &Holder, time_ns: u64) {
        let tenures = self.tenures.get_mut(&address).into_iter().flatten();
        for tenure in tenures.filter(|tenure| tenure.holder == *holder && tenure.until_ns.is_none()) {
            tenure.until_ns = Some(time_ns);
        }
    }
}
