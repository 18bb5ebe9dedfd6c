//! Compiles each program object with clang, for the other architectures too, so that a mistake there shows here; with
//! `TAPIO_BPF=stub` it writes empty ones, so that checking needs no clang.

use std::error::Error;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io, iter};

const OBJECTS: [&str; 9] = [
    "lockdown",
    "network",
    "status",
    "status_syscalls",
    "status_packets",
    "process",
    "container",
    "dns",
    "link",
];

/// Rust's name of each architecture, and libbpf's.
const ARCHITECTURES: [(&str, &str); 2] = [("x86_64", "x86"), ("aarch64", "arm64")];

/// Versions looked for besides plain `clang`, newest first; `deploy/setup` looks for the same.
const CLANG_VERSIONS: RangeInclusive<u32> = 14..=22;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut cargo = io::stdout();
    writeln!(cargo, "cargo::rerun-if-changed=bpf")?;
    writeln!(cargo, "cargo::rerun-if-env-changed=TAPIO_BPF")?;
    writeln!(cargo, "cargo::rerun-if-env-changed=TAPIO_CLANG")?;
    writeln!(cargo, "cargo::rustc-check-cfg=cfg(tapio_bpf_stub)")?;
    if env::var("TAPIO_BPF").is_ok_and(|switch| switch == "stub") {
        writeln!(cargo, "cargo::rustc-cfg=tapio_bpf_stub")?;
        return stub(&out);
    }
    let (clang, native) = (compiler()?, env::var("CARGO_CFG_TARGET_ARCH")?);
    if !ARCHITECTURES.iter().any(|(name, _)| *name == native) {
        return Err(format!("no programs for {native}").into());
    }
    for (name, arch) in ARCHITECTURES {
        let folder = if name == native {
            out.clone()
        } else {
            out.join("foreign")
        };
        fs::create_dir_all(&folder)?;
        for object in OBJECTS {
            compile(&clang, arch, object, &folder)?;
        }
    }
    Ok(())
}

fn stub(out: &Path) -> Result<(), Box<dyn Error>> {
    for object in OBJECTS {
        fs::write(out.join(format!("{object}.bpf.o")), [])?;
    }
    Ok(())
}

fn compiler() -> Result<String, Box<dyn Error>> {
    if let Ok(named) = env::var("TAPIO_CLANG") {
        return Ok(named);
    }
    let versioned = CLANG_VERSIONS.rev().map(|version| format!("clang-{version}"));
    iter::once("clang".to_owned())
        .chain(versioned)
        .find(|name| knows_bpf(name))
        .ok_or_else(|| "no clang for BPF found: install clang and libbpf-dev, or set TAPIO_BPF=stub".into())
}

fn knows_bpf(compiler: &str) -> bool {
    let targets = Command::new(compiler).arg("--print-targets").output();
    targets.is_ok_and(|targets| {
        let text = String::from_utf8_lossy(&targets.stdout);
        text.split_whitespace().any(|word| word == "bpf")
    })
}

fn compile(clang: &str, arch: &str, object: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let here = env::current_dir()?;
    let status = Command::new(clang)
        .args([
            "-g", "-O2", "-target", "bpfel", "-mcpu=v3", "-Wall", "-Werror", "-c",
        ])
        // the same bytes wherever the sources are
        .arg(format!("-ffile-prefix-map={}=.", here.display()))
        .arg(format!("-D__TARGET_ARCH_{arch}"))
        .arg(format!("bpf/{object}.bpf.c"))
        .arg("-o")
        .arg(folder.join(format!("{object}.bpf.o")))
        .status()?;
    if !status.success() {
        return Err(format!("{clang} refused bpf/{object}.bpf.c for {arch}").into());
    }
    Ok(())
}
