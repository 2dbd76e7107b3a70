//! Clients that misbehave: whatever they send, the sidecar answers or cuts
//! them off, and goes on serving everybody else.

use std::time::Duration;

use anyhow::ensure;
use e2e::Sidecar;
use http::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::{DEADLINE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn sidecar(id: &str) -> Sidecar {
    Sidecar::builder(id)
        .component("statestore", "state.in-memory", &[])
        .start()
        .ready()
        .await
}

async fn serves_others(sidecar: &mut Sidecar) {
    assert!(sidecar.is_running(), "{}", sidecar.output());
    let http = sidecar.http();
    let saved = http
        .post(
            "/v1.0/state/statestore",
            r#"[{"key":"alive","value":true}]"#,
        )
        .await
        .unwrap();
    saved.expect_status(204);
    let reply = http.get("/v1.0/state/statestore/alive").await.unwrap();
    assert_eq!(reply.expect_status(200).text(), "true");
    assert!(
        !sidecar.output().contains("panicked"),
        "{}",
        sidecar.output()
    );
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Sends bytes and reads until the other side closes or nothing more comes.
async fn exchange(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(port).await;
    let mut answer = Vec::new();
    // The other side may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn invalid_utf_8_is_an_error_of_the_request() {
    let mut sidecar = sidecar("utf8").await;
    let http = sidecar.http();
    let body: &[u8] = b"[{\"key\":\"k\",\"value\":\"\xff\xfe\"}]";
    let reply = http.post("/v1.0/state/statestore", body).await.unwrap();
    assert!(reply.status.as_u16() < 500, "{}", reply.text());
    for path in [
        "/v1.0/state/statestore/%ff%fe",
        "/v1.0/state/statestore/%00",
        "/v1.0/state/%ff/k",
        "/v1.0/invoke/%ff/method/%fe",
        "/v1.0/secrets/%ff/%fe",
        "/v1.0/state/statestore/k?metadata.%ff=%fe&consistency=%ff",
    ] {
        let reply = http.get(path).await.unwrap();
        assert!(!reply.status.is_redirection(), "{path}: {}", reply.status);
    }
    for path in ["/v1.0/state/statestore/%zz", "/v1.0/state/statestore/%"] {
        let reply = http.get(path).await.unwrap();
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
    }
    serves_others(&mut sidecar).await;
}

#[tokio::test]
async fn deeply_nested_json_does_not_overflow_the_stack() {
    let mut sidecar = sidecar("deep").await;
    let http = sidecar.http();
    let depth = 500_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let value = format!(r#"[{{"key":"deep","value":{nested}}}]"#);
    let objects = r#"{"a":"#.repeat(depth / 2);
    for (path, body) in [
        ("/v1.0/state/statestore", nested.as_str()),
        ("/v1.0/state/statestore", value.as_str()),
        ("/v1.0/state/statestore", objects.as_str()),
        ("/v1.0/state/statestore/bulk", objects.as_str()),
        ("/v1.0/state/statestore/transaction", objects.as_str()),
        ("/v1.0/bindings/none", nested.as_str()),
    ] {
        let reply = http.post(path, body.to_owned()).await.unwrap();
        assert!(
            reply.status.is_client_error() || reply.status.is_server_error(),
            "{path}: {}",
            reply.status
        );
    }
    serves_others(&mut sidecar).await;
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_without_being_read() {
    let mut sidecar = Sidecar::builder("bodies")
        .component("statestore", "state.in-memory", &[])
        .args(["--max-body-size", "64Ki"])
        .start()
        .ready()
        .await;
    let body = format!(r#"[{{"key":"k","value":"{}"}}]"#, "x".repeat(200_000));
    let reply = sidecar.http().post("/v1.0/state/statestore", body).await;
    // The answer may overtake the body, which then cannot be sent.
    if let Ok(reply) = reply {
        reply.expect_error(400, "ERR_MALFORMED_REQUEST");
    }

    // A client that announces a gigabyte and sends a little gets its answer
    // right away: nobody waits for the rest.
    let mut stream = connect(sidecar.http).await;
    let head = "POST /v1.0/state/statestore HTTP/1.1\r\nhost: localhost\r\n\
                content-length: 1000000000\r\n\r\n[";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 100_000]).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await;
    read.expect("an answer before the body is sent").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");

    // The same without a length.
    let chunk = format!("186a0\r\n{}\r\n", " ".repeat(100_000));
    let head = "POST /v1.0/state/statestore HTTP/1.1\r\nhost: localhost\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut stream = connect(sidecar.http).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(chunk.as_bytes()).await.unwrap();
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await;
    read.expect("an answer before the body ends").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    serves_others(&mut sidecar).await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_cut_off() {
    let mut sidecar = sidecar("slowloris").await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(sidecar.http).await;
        stream
            .write_all(b"GET /v1.0/healthz HTTP/1.1\r\nhost: loc")
            .await
            .unwrap();
        slow.push(stream);
    }
    serves_others(&mut sidecar).await;
    // Headers may take 10 seconds.
    for mut stream in slow {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("the sidecar closes the connection").ok();
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains(" 204 "), "{answer}");
    }
}

#[tokio::test]
async fn headers_over_the_cap_are_431() {
    let mut sidecar = sidecar("headers").await;
    let client = sidecar.http().header("x-long", &"a".repeat(20_000));
    let reply = client.get("/v1.0/healthz").await.unwrap();
    assert_eq!(reply.status, 431);
    serves_others(&mut sidecar).await;
}

#[tokio::test]
async fn garbage_on_every_port_is_survived() {
    let mut sidecar = sidecar("garbage").await;
    let random: Vec<u8> = (0..4096_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut bad_frame = http2.to_vec();
    bad_frame.extend(b"\xff\xff\xff\x01\x00\xff\xff\xff\xff");
    let mut random_frames = http2.to_vec();
    random_frames.extend(&random);
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let mut ports = vec![sidecar.http, sidecar.grpc, sidecar.metrics];
    // The port for other sidecars opens only with invocation between sidecars.
    if TcpStream::connect(("127.0.0.1", sidecar.internal))
        .await
        .is_ok()
    {
        ports.push(sidecar.internal);
    }
    for port in ports {
        for bytes in [
            b"".as_slice(),
            b"\r\n\r\n",
            b"GET",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /v1.0/state/statestore HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            b"POST /v1.0/state/statestore HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            http2,
            &bad_frame,
            &random_frames,
            tls_hello,
            &random,
        ] {
            exchange(port, bytes).await;
        }
    }
    serves_others(&mut sidecar).await;
}

#[tokio::test]
async fn unusual_verbs_are_answered() {
    let mut sidecar = sidecar("verbs").await;
    let http = sidecar.http();
    for verb in ["TRACE", "PATCH", "OPTIONS", "PROPFIND", "X"] {
        let method = Method::from_bytes(verb.as_bytes()).unwrap();
        let reply = http.call(method, "/v1.0/metadata", "").await.unwrap();
        assert_eq!(reply.status, 404, "{verb}");
    }
    serves_others(&mut sidecar).await;
}

/// As many as this process and daprd may hold open beside their other files.
const CONNECTIONS: u64 = 10_000;

#[tokio::test]
async fn ten_thousand_idle_connections_leave_room_for_the_next_call() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < CONNECTIONS + 500 {
        testkit::skip(format!("only {most} open files are allowed here"));
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Child processes inherit it, so this comes before the start.
    setrlimit(Resource::Nofile, raised).unwrap();

    let mut sidecar = sidecar("crowd").await;
    let mut idle = Vec::new();
    while (idle.len() as u64) < CONNECTIONS {
        // A full accept queue makes a connection wait, never fail.
        let connected = tokio::time::timeout(DEADLINE, connect(sidecar.http)).await;
        idle.push(connected.expect("the sidecar goes on accepting"));
    }
    serves_others(&mut sidecar).await;
    drop(idle);
    let open = format!("/proc/{}/fd", sidecar.id());
    eventually(DEADLINE, async || {
        let count = std::fs::read_dir(&open)?.count();
        ensure!(count < 200, "{count} files are still open");
        Ok(())
    })
    .await;
    assert_eq!(sidecar.stop(Duration::from_secs(15)).await.unwrap(), 0);
}
