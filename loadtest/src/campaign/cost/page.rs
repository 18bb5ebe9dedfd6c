//! Reads one number of a stage's `/metrics` page.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A page that takes longer is left for the next look.
const PATIENCE: Duration = Duration::from_secs(1);
/// Every stage's gauge of its lag ends like this.
const LAG: &str = "_lag_seconds";

/// The lag that the stage at `address` tells, ms; nothing when it does not answer or has no lag.
pub(super) async fn lag_ms(address: &str) -> Option<f64> {
    let page = tokio::time::timeout(PATIENCE, get(address)).await.ok()?.ok()?;
    Some(1000.0 * value(&page, LAG)?)
}

/// One request on a connection of its own, which the server closes after its answer.
async fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("{address} does not answer"))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}

/// The largest value of the metrics whose name ends so.
fn value(page: &str, suffix: &str) -> Option<f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        name.ends_with(suffix).then(|| value.parse().ok())?
    });
    values.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_several_partitions_counts_and_comments_do_not() {
        let page = "# TYPE tapio_correlator_lag_seconds gauge\n\
                    tapio_correlator_lag_seconds{partition=\"0\"} 0.012\n\
                    tapio_correlator_lag_seconds{partition=\"1\"} 0.25\n\
                    tapio_correlator_queue_depth 900\n";
        assert_eq!(value(page, LAG), Some(0.25));
        assert_eq!(value("tapio_observer_queue_depth 1\n", LAG), None);
    }
}
