//! Examples of RFC 7541, and what nobody should send.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(Name, String)>, Error> {
    let mut headers = Vec::new();
    decoder.decode(block, |name, value| {
        headers.push((name, String::from_utf8_lossy(value).into_owned()));
    })?;
    Ok(headers)
}

fn text(headers: &[(Name, String)], name: Name) -> Option<&str> {
    headers
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn requests_of_the_standard_are_read_plain_and_coded() {
    // C.3 and C.4: three requests each, the same ones.
    for requests in [
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ] {
        let mut decoder = Decoder::default();
        let paths = requests.map(|request| {
            let headers = decoded(&mut decoder, &bytes(request)).unwrap();
            text(&headers, Name::Path).unwrap().to_owned()
        });
        assert_eq!(paths, ["/", "/", "/index.html"]);
        assert_eq!((decoder.entries.len(), decoder.size), (3, 164));
    }
}

#[test]
fn a_small_table_evicts_as_the_standard_says() {
    // C.6: responses with a table of 256 bytes.
    let mut decoder = Decoder {
        most: 256,
        ..Decoder::default()
    };
    let responses = [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ];
    let statuses = responses.map(|response| {
        let headers = decoded(&mut decoder, &bytes(response)).unwrap();
        text(&headers, Name::Status).unwrap().to_owned()
    });
    assert_eq!(statuses, ["302", "307", "200"]);
    assert_eq!((decoder.entries.len(), decoder.size), (3, 215));
}

#[test]
fn of_a_credential_nothing_but_its_length_is_kept() {
    let mut decoder = Decoder::default();
    let secret = b"Bearer abc";
    let mut block = vec![0x40, 13];
    block.extend_from_slice(b"authorization");
    block.push(u8::try_from(secret.len()).unwrap());
    block.extend_from_slice(secret);
    assert_eq!(decoded(&mut decoder, &block), Ok(vec![]));
    let entry = &decoder.entries[0];
    assert_eq!((entry.value.len(), entry.size), (0, 13 + 10 + 32));
}

#[test]
fn every_block_that_ends_too_early_is_an_error_or_fewer_headers() {
    let block = bytes("828684418cf1e3c2e5f23a6ba0ab90f4ff");
    let whole = decoded(&mut Decoder::default(), &block).unwrap();
    for length in 0..block.len() {
        if let Ok(headers) = decoded(&mut Decoder::default(), &block[..length]) {
            assert!(headers.len() <= whole.len(), "{length} bytes");
        }
    }
}

#[test]
fn blocks_of_any_bytes_never_grow_the_table_beyond_its_bound() {
    let bad = AtomicU32::new(0);
    bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        let mut decoder = Decoder::default();
        for block in bytes.chunks(64) {
            let take = |_, value: &[u8]| assert!(value.len() <= VALUE_BYTES);
            let is_bad = decoder.decode(block, take).is_err();
            bad.fetch_add(u32::from(is_bad), Ordering::Relaxed);
            assert!(decoder.size <= MOST_TABLE_BYTES);
        }
    });
    assert!(bad.into_inner() > 0);
}

#[test]
fn a_bomb_of_indices_ends_at_its_bound() {
    let mut decoder = Decoder::default();
    let mut block = vec![0x44, 0x7f, 0x80 | 0x41, 0x1e]; // :path of 4,032 bytes
    block.extend(std::iter::repeat_n(b'a', 4032));
    assert_eq!(decoded(&mut decoder, &block).unwrap()[0].1.len(), VALUE_BYTES);
    let bomb = vec![0xbe; 64 << 10];
    let mut handed = 0;
    assert_eq!(
        decoder.decode(&bomb, |_, value| handed += value.len()),
        Err(Error::Large)
    );
    assert!(handed <= MOST_HEADERS * VALUE_BYTES, "{handed}");
}

#[test]
fn integers_and_tables_beyond_reason_are_refused() {
    let long = [0xff; 12];
    assert_eq!(decoded(&mut Decoder::default(), &long), Err(Error::Large));
    // A table of 64 KiB.
    assert_eq!(
        decoded(&mut Decoder::default(), &bytes("3fe1ff03")),
        Err(Error::Large)
    );
    assert_eq!(decoded(&mut Decoder::default(), &[0xbe]), Err(Error::Index));
}
