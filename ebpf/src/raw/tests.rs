//! Parsing of good, short and unknown bytes.

use std::net::{IpAddr, Ipv4Addr};

use super::{Error, Exit, Kind, Layout as _, Record, address, text};

fn exit_bytes(code: u32) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<Exit>()];
    bytes[0..4].copy_from_slice(&(Kind::Exit as u32).to_ne_bytes());
    bytes[96..100].copy_from_slice(&code.to_ne_bytes());
    bytes
}

#[test]
fn a_record_is_read_by_its_kind() {
    let Ok(Record::Exit(exit)) = Record::parse(&exit_bytes(3 << 8)) else {
        panic!("not an exit")
    };
    assert_eq!((exit.code(), exit.signal()), (Some(3), None));
}

#[test]
fn an_exit_by_signal_has_no_code() {
    let exit = Exit::parse(&exit_bytes(9 | 0x80)).unwrap();
    assert_eq!(
        (exit.code(), exit.signal(), exit.dumped_core()),
        (None, Some(9), true)
    );
}

#[test]
fn every_prefix_of_a_record_is_refused_as_short() {
    let bytes = exit_bytes(0);
    for length in 0..bytes.len() {
        assert!(
            matches!(Record::parse(&bytes[..length]), Err(Error::Short { .. })),
            "{length} bytes"
        );
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let mut bytes = exit_bytes(0);
    bytes[0] = 200;
    assert!(matches!(Record::parse(&bytes), Err(Error::Kind(200))));
}

#[test]
fn mapped_addresses_read_as_ipv4() {
    let words = [
        0,
        0,
        u32::from_ne_bytes([0, 0, 255, 255]),
        u32::from_ne_bytes([10, 0, 0, 7]),
    ];
    assert_eq!(address(words), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)));
    assert_eq!(text(b"redis\0\0x"), "redis");
}
