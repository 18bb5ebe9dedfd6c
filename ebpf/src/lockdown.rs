//! Does this kernel allow `bpf_probe_read_kernel`? Asked of the kernel itself: securityfs may not be mounted.

use crate::object::Object;
use aya::programs::RawTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};

/// True under `lockdown=confidentiality`, where programs that probe kernel memory are refused.
pub(crate) fn forbids_probing(btf: &Btf) -> bool {
    let Ok(mut bpf) = EbpfLoader::new().btf(Some(btf)).load(Object::Lockdown.bytes()) else {
        return false;
    };
    try_load(&mut bpf).is_some_and(|loaded| !loaded)
}

fn try_load(bpf: &mut Ebpf) -> Option<bool> {
    let program: &mut RawTracePoint = bpf.program_mut("reads_kernel")?.try_into().ok()?;
    Some(program.load().is_ok())
}
