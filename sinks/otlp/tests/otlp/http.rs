//! OTLP over HTTP: to a server that speaks HTTP/1.1, in the clear, over TLS and behind a proxy.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sink_otlp::endpoint::Settings;
use sink_otlp::export::{Error, Exporter};

use super::endpoint::{Authority, authority, incident, signed, write};

const PROTOBUF: &str = "http/protobuf";
/// Endpoint of a test that runs in a process of its own.
const ENDPOINT: &str = "TAPIO_TEST_ENDPOINT";

/// What a server was asked.
#[derive(Debug)]
struct Asked {
    /// As it stands behind the method.
    target: String,
    /// By their names in lower case.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Reads a request; `None` at the end of the connection.
fn read(stream: &mut BufReader<impl Read>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(Asked {
        target: lines.first()?.split(' ').nth(1)?.to_owned(),
        headers,
        body,
    })
}

/// Answers every request with the status that `status` gives for its target, and hands it on.
fn answer(stream: impl Read + Write, status: impl Fn(&str) -> u16, asked: &mpsc::Sender<Asked>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream) {
        let status = status(&request.target);
        asked.send(request).unwrap();
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n"
        )
        .unwrap();
        stream.get_mut().flush().unwrap();
    }
}

/// Serves each connection in a thread of its own; gives the address and what was asked.
fn serve_with<S: Read + Write>(
    open: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    status: impl Fn(&str) -> u16 + Send + Sync + 'static,
) -> (SocketAddr, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (send, asked) = mpsc::channel();
    let server = Arc::new((open, status));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (send, server) = (send.clone(), Arc::clone(&server));
            std::thread::spawn(move || answer(server.0(stream.unwrap()), &server.1, &send));
        }
    });
    (at, asked)
}

/// A server in the clear.
fn serve(status: impl Fn(&str) -> u16 + Send + Sync + 'static) -> (SocketAddr, mpsc::Receiver<Asked>) {
    serve_with(|stream| stream, status)
}

/// One that is certified by `authority` and takes only clients that are, too.
fn serve_securely(authority: &Authority) -> (SocketAddr, mpsc::Receiver<Asked>) {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(own).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let (certificate, key) = signed(authority, "localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let open = move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
    serve_with(open, |_| 200)
}

fn over_http(endpoint: &str) -> Settings {
    Settings {
        protocol: Some(PROTOBUF.to_owned()),
        ..Settings::to(endpoint)
    }
}

async fn export(settings: &Settings) -> Result<(), Error> {
    Exporter::new(settings).unwrap().export(&incident()).await
}

#[tokio::test]
async fn spans_and_records_go_to_their_paths() {
    let (at, asked) = serve(|_| 200);
    export(&over_http(&format!("http://{at}/otlp/"))).await.unwrap();
    let mut spans = 0;
    let mut records = 0;
    for asked in asked.try_iter() {
        assert_eq!(asked.headers["content-type"], "application/x-protobuf");
        match asked.target.as_str() {
            "/otlp/v1/traces" => {
                let request = ExportTraceServiceRequest::decode(asked.body.as_slice()).unwrap();
                let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
                spans += scopes.map(|scope| scope.spans.len()).sum::<usize>();
            }
            "/otlp/v1/logs" => {
                let request = ExportLogsServiceRequest::decode(asked.body.as_slice()).unwrap();
                let scopes = request.resource_logs.iter().flat_map(|of| &of.scope_logs);
                records += scopes.map(|scope| scope.log_records.len()).sum::<usize>();
            }
            other => unreachable!("{other}"),
        }
    }
    assert_eq!(spans, incident().steps.len());
    assert!(records > 0);
}

#[tokio::test]
async fn an_endpoint_of_one_signal_is_taken_as_it_is() {
    let (at, asked) = serve(|_| 200);
    let (logs_at, logs_asked) = serve(|_| 200);
    let settings = Settings {
        traces_endpoint: Some(format!("http://{at}/spans")),
        ..over_http(&format!("http://{logs_at}"))
    };
    export(&settings).await.unwrap();
    assert!(asked.try_iter().all(|asked| asked.target == "/spans"));
    assert_eq!(logs_asked.try_iter().next().unwrap().target, "/v1/logs");
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_be_taken_later() {
    for (status, is_final, is_exhausted) in [
        (400, true, false),
        (413, true, false),
        (429, false, true),
        (401, false, false),
    ] {
        let (at, _asked) = serve(move |_| status);
        let error = export(&over_http(&format!("http://{at}"))).await.unwrap_err();
        assert_eq!(error.is_final(), is_final, "{status}: {error:?}");
        assert_eq!(error.is_exhausted(), is_exhausted, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_backend_for_traces_alone_is_enough_and_one_for_records_alone_is_not() {
    let (at, _asked) = serve(|target| if target == "/v1/traces" { 200 } else { 404 });
    export(&over_http(&format!("http://{at}"))).await.unwrap();
    let (at, _asked) = serve(|target| if target == "/v1/logs" { 200 } else { 404 });
    export(&over_http(&format!("http://{at}"))).await.unwrap_err();
}

#[tokio::test]
async fn a_backend_that_knows_no_records_is_not_sent_them_again_and_again() {
    let (at, asked) = serve(|target| if target == "/v1/traces" { 200 } else { 404 });
    let exporter = Exporter::new(&over_http(&format!("http://{at}"))).unwrap();
    for _ in 0..3 {
        exporter.export(&incident()).await.unwrap();
    }
    let targets: Vec<_> = asked.try_iter().map(|asked| asked.target).collect();
    let count = |wanted: &str| targets.iter().filter(|target| *target == wanted).count();
    assert_eq!(count("/v1/logs"), 1);
    assert!(count("/v1/traces") >= 3);
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let (at, asked) = serve(|_| 307);
    let error = export(&over_http(&format!("http://{at}"))).await.unwrap_err();
    assert!(!error.is_final(), "{error:?}");
    assert_eq!(asked.try_iter().count(), 1);
}

#[tokio::test]
async fn a_backend_is_verified_and_verifies_by_the_certificates_that_are_named() {
    let (ours, others) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = signed(&ours, "tapio");
    let (at, asked) = serve_securely(&ours);
    let settings = Settings {
        certificate: Some(write(folder.path(), "ca.pem", &ours.pem())),
        client_certificate: Some(write(folder.path(), "own.pem", &certificate)),
        client_key: Some(write(folder.path(), "own.key", &key)),
        ..over_http(&format!("https://localhost:{}", at.port()))
    };
    export(&settings).await.unwrap();
    assert!(asked.try_iter().count() > 0);
    let unknown = Settings {
        certificate: Some(write(folder.path(), "others.pem", &others.pem())),
        ..settings.clone()
    };
    let anonymous = Settings {
        client_certificate: None,
        client_key: None,
        ..settings
    };
    for settings in [unknown, anonymous] {
        export(&settings).await.unwrap_err();
        assert_eq!(asked.try_iter().count(), 0);
    }
}

/// Variables are a process's own, so this one is started by the test below.
#[tokio::test]
#[ignore = "a part of another test"]
async fn exports_where_it_is_told() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        return;
    };
    export(&over_http(&endpoint)).await.unwrap();
}

#[test]
fn a_proxy_is_gone_through_where_the_environment_names_one() {
    let (proxy, through_proxy) = serve(|_| 200);
    let (direct, asked) = serve(|_| 200);
    for (exempt, by_proxy) in [("", true), ("127.0.0.1", false)] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "http::exports_where_it_is_told", "--ignored"])
            .env(ENDPOINT, format!("http://{direct}"))
            .env("HTTP_PROXY", format!("http://{proxy}"))
            .env("NO_PROXY", exempt)
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        let at_proxy: Vec<_> = through_proxy.try_iter().map(|asked| asked.target).collect();
        let is_whole = |target: &String| target.starts_with(&format!("http://{direct}/v1/"));
        assert_eq!(
            (!at_proxy.is_empty(), asked.try_iter().count() > 0),
            (by_proxy, !by_proxy)
        );
        assert!(at_proxy.iter().all(is_whole), "{at_proxy:?}");
    }
}
