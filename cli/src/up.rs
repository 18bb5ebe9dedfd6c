//! `tapio up`: the pipeline on this host until somebody stops it.

use std::process::ExitCode;

use crate::args::{NatsArgs, UpArgs};
use crate::lock::{Holder, Lock};
use crate::pipeline::Pipeline;
use crate::{Error, clock, lock, output};

/// Runs until SIGTERM, SIGINT or SIGHUP.
pub(crate) async fn run(args: UpArgs, nats: &NatsArgs) -> Result<ExitCode, Error> {
    let mut lock = take_lock(&args, "up")?;
    let stop = bus_stage::signals::stop().map_err(Error::Runtime)?;
    let mut pipeline = Pipeline::start(&args, nats.nats_url.clone(), &stop).await?;
    if let Err(error) = lock.announce(&pipeline.nats_url) {
        output::note(format_args!("cannot announce the bus: {error}"));
    }
    output::note(format_args!(
        "ready: bus {0}, logs {1}\nlook: tapio incidents --follow · tapio tail 'tapio.>' · tapio doctor · \
         nats --server {0} sub 'tapio.incidents.>'",
        pipeline.nats_url,
        pipeline.folder().display()
    ));
    while let Some(Some(notice)) = stop.run_until_cancelled(pipeline.notices.recv()).await {
        output::note(format_args!(
            "{} {}; again in {:?}",
            notice.name, notice.what, notice.again_in
        ));
    }
    output::note("draining");
    pipeline.stop(args.keep).await;
    Ok(ExitCode::SUCCESS)
}

/// The lock of this host.
pub(crate) fn take_lock(args: &UpArgs, command: &str) -> Result<Lock, lock::Error> {
    let path = args.lock.clone().unwrap_or_else(lock::default_path);
    let holder = Holder {
        pid: std::process::id(),
        since: clock::now(),
        command: command.to_owned(),
        nats_url: None,
    };
    Lock::take(&path, holder)
}
