//! Why there is no connection.

use std::time::Duration;

use bus_client::{Bus, Config, connection};

use crate::server::Server;

#[tokio::test]
async fn a_server_that_is_not_there_is_one_sentence_within_the_patience() {
    let mut server = Server::start();
    server.kill();
    let error = Bus::connect_now(&server.config(), Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error, connection::Error::Unreachable { .. }));
    assert!(
        error
            .to_string()
            .starts_with("no connection to NATS at nats://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn whom_a_server_refuses_is_told_so() {
    let server = Server::with_config("authorization { user: reader, password: right }");
    let config = Config {
        user: Some(("reader".into(), "wrong".into())),
        ..server.config()
    };
    let error = Bus::connect_now(&config, Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .to_lowercase()
            .contains("authorization violation"),
        "{error}"
    );
}
