//! The live keys of a bucket in one request. To list them by a consumer would leave that consumer with the server for half a
//! minute; who lists once a second would keep thirty of them there.

use async_nats::Message;
use async_nats::header::NATS_SUBJECT;
use async_nats::jetstream::kv::{Operation, Store};
use futures_util::StreamExt;
use serde_json::json;

use crate::connection::Bus;

/// Ends the answers.
const NO_CONTENT: u16 = 204;
/// The answer where there is no such key.
const NOT_FOUND: u16 = 404;
/// What was done to a key; a message without is a value.
const KV_OPERATION: &str = "KV-Operation";

/// There is no list: the request could not be sent, the server refused it, or the connection ended.
#[derive(Debug, thiserror::Error)]
#[error("keys of {bucket} were not listed: {why}")]
pub struct Error {
    bucket: String,
    why: String,
}

/// The keys of `store` that match `pattern`, a subject's with wildcards. The server takes such a request for up to 1,024 keys
/// (direct get of the last message of several subjects, nats-server 2.11). There is no timeout: that is the caller's.
///
/// # Errors
/// When the server refuses; one that is not there does not answer.
pub async fn keys(bus: &Bus, store: &Store, pattern: &str) -> Result<Vec<String>, Error> {
    let failed = |why: String| Error {
        bucket: store.name.clone(),
        why,
    };
    let client = bus.client();
    let inbox = client.new_inbox();
    let request = json!({ "multi_last": [format!("{}{pattern}", store.prefix)] });
    let subject = format!("$JS.API.DIRECT.GET.{}", store.stream_name);
    let mut answers = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| failed(error.to_string()))?;
    client
        .publish_with_reply(subject, inbox, request.to_string().into())
        .await
        .map_err(|error| failed(error.to_string()))?;
    let mut keys = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer.status.map(|status| status.as_u16()) {
            None => keys.extend(live_key(&answer, &store.prefix)),
            Some(NO_CONTENT | NOT_FOUND) => return Ok(keys),
            Some(status) => {
                let why = format!("{status} {}", answer.description.unwrap_or_default());
                return Err(failed(why));
            }
        }
    }
    Err(failed("the connection ended".into()))
}

/// The key of a message that holds a value; a deleted key is a message too.
fn live_key(message: &Message, prefix: &str) -> Option<String> {
    let headers = message.headers.as_ref()?;
    let operation = headers
        .get(KV_OPERATION)
        .map(|operation| operation.as_str().parse());
    let is_live = matches!(operation, None | Some(Ok(Operation::Put)));
    let key = headers.get(NATS_SUBJECT)?.as_str().strip_prefix(prefix)?;
    is_live.then(|| key.to_owned())
}
