//! One HTTP/1.1 request and how it ended.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;

use crate::Error;

const PLACEHOLDER: &str = "{n}";

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// No connection could be made.
    Unconnected,
    /// The connection broke before the answer was complete.
    Broken,
    /// No complete answer in time.
    Timeout,
}

impl Outcome {
    /// An answer that is no failure of the server.
    pub fn is_ok(self) -> bool {
        matches!(self, Self::Status(..500))
    }

    /// Whether a user would press the button again at once.
    pub fn worth_a_retry(self) -> bool {
        !self.is_ok()
    }
}

/// Asks one target.
#[derive(Debug)]
pub struct Client {
    http: legacy::Client<HttpConnector, Empty<Bytes>>,
    target: String,
    keys: NonZeroU32,
    timeout: Duration,
    keepalive: bool,
}

impl Client {
    /// Checks the target; no connection is made yet.
    pub fn new(target: &str, keys: NonZeroU32, timeout: Duration, keepalive: bool) -> Result<Self, Error> {
        let target = with_path(target)?;
        let idle = if keepalive { usize::MAX } else { 0 };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(idle)
            .retry_canceled_requests(false)
            .build_http();
        Ok(Self {
            http,
            target,
            keys,
            timeout,
            keepalive,
        })
    }

    /// The address of request `number`.
    pub fn target(&self, number: u64) -> String {
        let item = number % u64::from(self.keys.get());
        self.target.replace(PLACEHOLDER, &item.to_string())
    }

    /// One try, answer read to its end.
    pub async fn ask(&self, target: &str) -> Outcome {
        tokio::time::timeout(self.timeout, self.exchange(target))
            .await
            .unwrap_or(Outcome::Timeout)
    }

    async fn exchange(&self, target: &str) -> Outcome {
        let Ok(uri) = target.parse::<Uri>() else {
            return Outcome::Unconnected;
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        if !self.keepalive {
            request
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match self.http.request(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                response
                    .into_body()
                    .collect()
                    .await
                    .map_or(Outcome::Broken, |_| Outcome::Status(status))
            }
            Err(error) if error.is_connect() => Outcome::Unconnected,
            Err(_) => Outcome::Broken,
        }
    }
}

fn with_path(target: &str) -> Result<String, Error> {
    let bad = || Error::Config(format!("--target {target} is not an http:// address"));
    let uri: Uri = target.replace(PLACEHOLDER, "0").parse().map_err(|_| bad())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        return Err(bad());
    }
    let bare = uri.path() == "/" && uri.query().is_none();
    Ok(if bare {
        format!("{}/items/{PLACEHOLDER}", target.trim_end_matches('/'))
    } else {
        target.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(target: &str) -> Result<Client, Error> {
        Client::new(
            target,
            NonZeroU32::new(10).unwrap(),
            Duration::from_secs(1),
            false,
        )
    }

    #[test]
    fn a_target_without_a_path_asks_for_items_in_turn() {
        let client = client("http://gateway:8080").unwrap();
        assert_eq!(client.target(3), "http://gateway:8080/items/3");
        assert_eq!(client.target(13), "http://gateway:8080/items/3");
    }

    #[test]
    fn a_target_with_a_path_is_asked_as_it_is() {
        assert_eq!(client("http://a/b?c={n}").unwrap().target(4), "http://a/b?c=4");
    }

    #[test]
    fn a_target_that_is_no_http_address_is_refused() {
        assert!(client("gateway:8080").is_err());
        assert!(client("https://gateway").is_err());
    }

    #[test]
    fn only_failures_of_the_server_or_the_way_to_it_are_retried() {
        assert!(Outcome::Status(503).worth_a_retry());
        assert!(Outcome::Unconnected.worth_a_retry());
        assert!(!Outcome::Status(404).worth_a_retry());
    }
}
