//! Functions of libraries that encrypt, in the files from which processes have them.

use std::path::Path;

use aya::Ebpf;
use aya::programs::uprobe::{UProbe, UProbeLinkId, UProbeScope};
use aya::programs::{Program, ProgramError};

use crate::loader::reason;

/// What sends, what receives, and what receives and writes its length down.
const SEND: (&str, &str) = ("enter_send", "leave_send");
const RECEIVE: (&str, &str) = ("enter_receive", "leave_receive");
const RECEIVE_EX: (&str, &str) = ("enter_receive_ex", "leave_receive");

/// Functions of OpenSSL 1.1 and 3. The older has all of them since 1.1.1.
const OPENSSL: &[(&str, (&str, &str))] = &[
    ("SSL_write", SEND),
    ("SSL_write_ex", SEND),
    ("SSL_read", RECEIVE),
    ("SSL_read_ex", RECEIVE_EX),
];
const GNUTLS: &[(&str, (&str, &str))] = &[("gnutls_record_send", SEND), ("gnutls_record_recv", RECEIVE)];

/// A library that encrypts, and is followed in every process that has it from this file. See [`crate::Loaded::follow_tls`].
#[derive(Debug)]
pub struct Followed(Vec<(&'static str, UProbeLinkId)>);

/// Whose functions are in a library of that name, if it is one that encrypts.
fn functions_of(name: &str) -> Option<&'static [(&'static str, (&'static str, &'static str))]> {
    // libssl3.so is of NSS, and libssl-1a2b.so of a package of Python.
    if name.starts_with("libssl.so") || name.starts_with("libssl-") {
        Some(OPENSSL)
    } else if name.starts_with("libgnutls.so") || name.starts_with("libgnutls-") {
        Some(GNUTLS)
    } else {
        None
    }
}

/// Whether a file of that name is a library that can be followed.
pub fn is_library(name: &str) -> bool {
    functions_of(name).is_some()
}

pub(crate) fn follow(bpf: &mut Ebpf, name: &str, file: &Path) -> Result<Followed, String> {
    let mut followed = Followed(Vec::new());
    for (function, (enter, leave)) in functions_of(name).unwrap_or_default() {
        for program in [enter, leave] {
            match attach(bpf, program, function, file) {
                Ok(link) => followed.0.push((program, link)),
                Err(error) => {
                    leave_alone(bpf, followed);
                    return Err(format!("{function}: {error}"));
                }
            }
        }
    }
    Ok(followed)
}

pub(crate) fn leave_alone(bpf: &mut Ebpf, followed: Followed) {
    for (program, link) in followed.0 {
        if let Ok(program) = probe(bpf, program) {
            // What is gone already need not be taken away.
            program.detach(link).ok();
        }
    }
}

fn probe<'a>(bpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, String> {
    let program: &mut Program = bpf
        .program_mut(name)
        .ok_or_else(|| format!("the object has no program {name}"))?;
    program.try_into().map_err(|error: ProgramError| reason(&error))
}

fn attach(bpf: &mut Ebpf, program: &str, function: &str, file: &Path) -> Result<UProbeLinkId, String> {
    let program = probe(bpf, program)?;
    if program.fd().is_err() {
        program.load().map_err(|error| reason(&error))?;
    }
    let attached = program.attach(function, file, UProbeScope::AllProcesses);
    attached.map_err(|error| reason(&error))
}
