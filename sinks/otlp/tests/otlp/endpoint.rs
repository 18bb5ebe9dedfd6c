//! How a backend is reached: with TLS where it is asked for, and never without.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use bus_schema::Incident;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sink_otlp::endpoint::Settings;
use sink_otlp::export::Exporter;
use tokio::sync::mpsc;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::backend::Backend;

/// What a TLS handshake record begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What the correlator tells.
pub(crate) fn incident() -> Incident {
    let text = include_str!("../../../../cli/tests/incident.json");
    serde_json::from_str(text).unwrap()
}

/// First byte that an exporter with these settings sends to the address in its endpoint.
async fn first_byte(settings: impl FnOnce(SocketAddr) -> Settings) -> u8 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = Exporter::new(&settings(listener.local_addr().unwrap())).unwrap();
    let export = tokio::spawn(async move { exporter.export(&incident()).await });
    let read = tokio::task::spawn_blocking(move || {
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        byte[0]
    });
    let byte = read.await.unwrap();
    export.abort();
    byte
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_unless_it_is_asked_for() {
    let https = first_byte(|at| Settings::to(&format!("https://{at}"))).await;
    assert_eq!(https, HANDSHAKE);
    let without_scheme = first_byte(|at| Settings::to(&at.to_string())).await;
    assert_eq!(without_scheme, HANDSHAKE);
    let insecure = first_byte(|at| Settings {
        insecure: Some("True".to_owned()),
        ..Settings::to(&at.to_string())
    });
    assert_eq!(insecure.await, b'P', "HTTP/2's preface");
    let http = first_byte(|at| Settings::to(&format!("http://{at}"))).await;
    assert_eq!(http, b'P');
    let over_http = |at: SocketAddr| Settings {
        protocol: Some("http/protobuf".to_owned()),
        ..Settings::to(&at.to_string())
    };
    assert_eq!(first_byte(over_http).await, HANDSHAKE);
}

#[tokio::test]
async fn each_signal_may_have_an_endpoint_of_its_own() {
    let traces = first_byte(|at| Settings {
        traces_endpoint: Some(format!("https://{at}")),
        ..Settings::to("http://127.0.0.1:1")
    });
    assert_eq!(traces.await, HANDSHAKE);
}

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of `name`, PEM.
pub(crate) fn signed(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// How many exports a backend got that is certified by `authority` and takes only clients that are, too.
async fn exported(authority: &Authority, settings: Settings) -> usize {
    let (certificate, key) = signed(authority, "localhost");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let (traces, mut requests) = mpsc::channel(4);
    let (logs, _log_requests) = mpsc::channel(4);
    let backend = Backend {
        traces,
        logs,
        refuses: None,
    };
    let (port, serving) = backend.serve(Server::builder().tls_config(tls).unwrap()).await;
    let to = Settings {
        endpoint: Some(format!("https://localhost:{port}")),
        ..settings
    };
    let is_taken = Exporter::new(&to).unwrap().export(&incident()).await.is_ok();
    serving.abort();
    let mut count = 0;
    while requests.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(is_taken, count > 0);
    count
}

#[tokio::test]
async fn a_backend_is_verified_and_verifies_by_the_certificates_that_are_named() {
    let (ours, others) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = signed(&ours, "tapio");
    let settings = Settings {
        certificate: Some(write(folder.path(), "ca.pem", &ours.pem())),
        client_certificate: Some(write(folder.path(), "own.pem", &certificate)),
        client_key: Some(write(folder.path(), "own.key", &key)),
        ..Settings::default()
    };
    assert_eq!(exported(&ours, settings.clone()).await, 1);
    let unknown = Settings {
        certificate: Some(write(folder.path(), "others.pem", &others.pem())),
        ..settings.clone()
    };
    assert_eq!(exported(&ours, unknown).await, 0, "certified by somebody else");
    let anonymous = Settings {
        client_certificate: None,
        client_key: None,
        ..settings
    };
    assert_eq!(exported(&ours, anonymous).await, 0, "it does not say who it is");
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let https = || Settings::to("https://localhost:4317");
    let missing = folder.path().join("missing.pem").to_str().unwrap().to_owned();
    let cases = [
        (Settings::to("grpc://localhost:4317"), "http"),
        (Settings::to("no url"), "no url"),
        (
            Settings {
                protocol: Some("http/json".to_owned()),
                ..Settings::to("http://localhost:4318")
            },
            "http/protobuf",
        ),
        (
            Settings {
                certificate: Some(missing),
                ..https()
            },
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ),
        (
            Settings {
                client_certificate: Some(write(folder.path(), "own.pem", "no certificate")),
                ..https()
            },
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
        (
            Settings {
                client_certificate: Some(write(folder.path(), "own.pem", "no certificate")),
                client_key: Some(write(folder.path(), "own.key", "no key")),
                ..https()
            },
            "TLS",
        ),
    ];
    for (settings, word) in cases {
        let refused = settings.clone();
        let error = Exporter::new(&settings).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(word), "{refused:?}: {error}");
    }
    for empty in ["", "https://localhost:4317"] {
        let settings = Settings {
            protocol: Some(String::new()),
            certificate: Some(String::new()),
            ..Settings::to(empty)
        };
        assert!(Exporter::new(&settings).is_ok(), "what is empty is not given");
    }
}
