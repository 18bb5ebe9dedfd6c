//! What a person gets who starts it wrongly.

use std::process::Command;

fn exit_code(args: &[&str]) -> Option<i32> {
    Command::new(env!("CARGO_BIN_EXE_tapio-shop"))
        .args(args)
        .output()
        .unwrap()
        .status
        .code()
}

#[test]
fn bad_configuration_exits_64() {
    assert_eq!(exit_code(&[]), Some(64));
    assert_eq!(exit_code(&["cache", "--leak", "much"]), Some(64));
    assert_eq!(
        exit_code(&["cache", "--keys", "1000", "--capacity", "1KiB"]),
        Some(64)
    );
    assert_eq!(exit_code(&["gateway", "--attempts", "0"]), Some(64));
    assert_eq!(exit_code(&["gateway", "--fail-ratio", "2"]), Some(64));
    assert_eq!(exit_code(&["gateway", "--cache", "redis"]), Some(64));
    assert_eq!(exit_code(&["users", "--target", "gateway"]), Some(64));
}

#[test]
fn an_address_that_is_taken_exits_1_and_help_exits_0() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(
        exit_code(&["cache", "--listen", &taken.local_addr().unwrap().to_string()]),
        Some(1)
    );
    assert_eq!(exit_code(&["users", "--help"]), Some(0));
}
