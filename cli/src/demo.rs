//! `tapio demo`: breaks something on this host for real, and holds the explanation against what really happened.

pub(crate) mod args;
mod latency;
mod round;
mod shop;
mod verdict;
mod witness;

use std::process::ExitCode;

use crate::args::NatsArgs;
use crate::error::INTERRUPTED;
use crate::{cgroup, doctor, output, up};
use args::DemoArgs;
use latency::Latencies;
use round::Teller;

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was told to use another bus.
    #[error("the demonstration brings its own bus; leave out --nats-url, and unset TAPIO_NATS_URL")]
    OwnBus,
    /// Something this host does not have.
    #[error("the demonstration needs {0}")]
    Missing(String),
    /// A part of the shop does not come up.
    #[error("{role} does not listen; its log is {log}")]
    ShopDown {
        /// Which.
        role: &'static str,
        /// Its log.
        log: std::path::PathBuf,
    },
    /// The file system or the process table.
    #[error("cannot {attempt}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    fn io(attempt: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { attempt, source }
    }
}

/// Checks what it needs, then plays the rounds; exits 0 only when every explanation was right.
pub(crate) async fn run(args: DemoArgs, nats: &NatsArgs, json: bool) -> Result<ExitCode, crate::Error> {
    if nats.nats_url.is_some() {
        return Err(Error::OwnBus.into());
    }
    needs()?;
    // Whoever started the demonstration may be killed: then it ends in order.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(|source| Error::io("watch the parent")(source.into()))?;
    let mut lock = up::take_lock(&args.up, "demo")?;
    let stop = bus_stage::signals::stop().map_err(crate::Error::Runtime)?;
    if let Some(root) = cgroup::root() {
        cgroup::sweep(&root).await;
    }
    let latencies = Latencies::new()?;
    let mut teller = Teller { json, latencies };
    let mut right = true;
    for _ in 0..args.rounds {
        let Some(verdict) = Box::pin(round::play(&args, &mut lock, &mut teller, &stop)).await? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        right &= verdict.is_right();
        teller.judge(&verdict);
    }
    output::note(teller.latencies.report());
    output::note(look_further());
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The demonstration's bus is gone, so these are about a pipeline that stays.
fn look_further() -> String {
    let tapio =
        std::env::current_exe().map_or_else(|_| "tapio".to_owned(), |path| path.display().to_string());
    format!(
        "look further: {tapio} up watches this host; beside it {tapio} incidents --follow, {tapio} explain ID and \
         {tapio} tail 'tapio.>' · {tapio} doctor says what can be seen here"
    )
}

/// One sentence about the first thing that is missing.
fn needs() -> Result<(), Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let missing = if !rustix::process::geteuid().is_root() {
        "root, to load programs into the kernel".to_owned()
    } else if !doctor::kernel_is_new_enough(&release) {
        format!("kernel 5.10 or newer, this is {release}")
    } else if !doctor::has_btf() {
        format!("BTF of the kernel at {}", doctor::BTF)
    } else {
        return Ok(());
    };
    Err(Error::Missing(missing))
}
