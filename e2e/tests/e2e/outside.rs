//! Calls that leave Dapr, HTTPEndpoints and URLs, and what is special in HTTP.

use std::sync::Arc;

use anyhow::ensure;
use bytes::Bytes;
use e2e::{Mesh, Sidecar};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::pki::{Authority, Leaf};
use testkit::server::{Body, BodySender, channel, full};
use testkit::{App, Connection, DEADLINE, Server, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

/// Tells what it was sent; `/moved` leads there.
fn tell(request: &Request<hyper::body::Incoming>) -> Response<Body> {
    let header = |name| {
        let value = request.headers().get(name);
        value.map(|value| value.to_str().unwrap_or_default().to_owned())
    };
    if request.uri().path() == "/moved" {
        let response = Response::builder().status(307).header("location", "/told");
        return response.body(full("moved")).unwrap();
    }
    let told = json!({
        "path": request.uri().path(),
        "key": header("x-key"),
        "token": header("dapr-api-token"),
    });
    Response::new(full(told.to_string()))
}

fn endpoint(name: &str, port: u16, tls: &Value) -> String {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "HTTPEndpoint",
        "metadata": {"name": name},
        "spec": {
            "baseUrl": format!("https://127.0.0.1:{port}"),
            "headers": [{"name": "x-key", "secretKeyRef": {"name": "key", "key": "key"}}],
            "clientTLS": tls,
        },
        "auth": {"secretStore": "vault"},
    })
    .to_string()
}

#[tokio::test]
async fn an_endpoint_has_its_headers_certificates_and_redirects() {
    let (servers, clients) = (Authority::root("servers"), Authority::root("clients"));
    let leaf = |authority: &Authority, name| {
        authority.leaf(Leaf {
            name,
            expired: false,
        })
    };
    let tls = leaf(&servers, "127.0.0.1").server(Some(&clients));
    let server = Server::start_tls(tls, |request| async move { tell(&request) });
    let server = server.await.unwrap();
    let own = leaf(&clients, "caller.example");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.json");
    let secrets = json!({
        "key": "a-secret-key",
        "certificate": own.chain_pem(), "private": own.key_pem(),
    });
    std::fs::write(&file, secrets.to_string()).unwrap();
    let secret = |name| json!({"secretKeyRef": {"name": name, "key": name}});
    let (certificate, private) = (secret("certificate"), secret("private"));
    let root = json!({"value": servers.certificate_pem()});
    let good = json!({"rootCA": root, "certificate": certificate, "privateKey": private});
    let port = server.port();
    let sidecar = Sidecar::builder("endpoints-caller")
        .component(
            "vault",
            "secretstores.local.file",
            &[("secretsFile", file.to_str().unwrap())],
        )
        .file("good.yaml", endpoint("good", port, &good))
        .file(
            "unproven.yaml",
            endpoint("unproven", port, &json!({"rootCA": root})),
        )
        .file(
            "distrusting.yaml",
            endpoint(
                "distrusting",
                port,
                &json!({"certificate": certificate, "privateKey": private}),
            ),
        )
        .env("APP_API_TOKEN", "app-t0ken")
        .start()
        .ready()
        .await;
    let http = sidecar.http();
    for (method, path) in [("told", "/told"), ("a/b", "/a/b"), ("moved", "/told")] {
        let url = format!("/v1.0/invoke/good/method/{method}");
        let reply = http.get(&url).await.unwrap().expect_status(200);
        let told = json!({"path": path, "key": "a-secret-key", "token": null});
        assert_eq!(reply.json(), told, "{method}");
    }
    let before = server.requests();
    for name in ["unproven", "distrusting"] {
        let url = format!("/v1.0/invoke/{name}/method/told");
        let reply = http.get(&url).await.unwrap();
        let message = reply.expect_error(500, "ERR_DIRECT_INVOKE");
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(server.requests(), before);
    assert!(!sidecar.output().contains("a-secret-key"));
}

#[tokio::test]
async fn a_url_gets_the_apps_token_and_its_redirects_come_back() {
    let server = Server::start(|request| async move { tell(&request) })
        .await
        .unwrap();
    let sidecar = Sidecar::builder("url-caller")
        .env("APP_API_TOKEN", "app-t0ken")
        .start()
        .ready()
        .await;
    let http = sidecar.http().header("dapr-api-token", "forged");
    let base = format!("/v1.0/invoke/http://{}/method", server.address());
    let reply = http.get(&format!("{base}/x")).await.unwrap();
    let told = json!({"path": "/x", "key": null, "token": "app-t0ken"});
    assert_eq!(reply.expect_status(200).json(), told);
    let reply = http.get(&format!("{base}/moved")).await.unwrap();
    let reply = reply.expect_status(307);
    assert_eq!(reply.header("location"), "/told");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn events_pass_one_by_one() {
    let streams = Arc::<Mutex<Vec<BodySender>>>::default();
    let kept = streams.clone();
    let app = Server::start(move |request| {
        let kept = kept.clone();
        async move {
            if request.uri().path() != "/events" {
                return Response::builder().status(404).body(full("")).unwrap();
            }
            let (sender, body) = channel();
            kept.lock().await.push(sender);
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(body).unwrap()
        }
    })
    .await
    .unwrap();
    let mesh = Mesh::start().await;
    let callee = mesh.sidecar("callee").app_port(app.port());
    let _callee = callee.start().ready().await;
    let caller = mesh.sidecar("caller").start().ready().await;
    for target in ["callee".to_owned(), format!("http://{}", app.address())] {
        let mut connection = Connection::open(caller.http).await.unwrap();
        let request = Request::get(format!("/v1.0/invoke/{target}/method/events"))
            .header("accept", "text/event-stream")
            .body(full(""))
            .unwrap();
        let begin = async {
            eventually(DEADLINE, async || {
                let sender = streams.lock().await.pop();
                sender.ok_or_else(|| anyhow::anyhow!("no call has come"))
            })
            .await
        };
        let (response, sender) = tokio::join!(connection.send(request), begin);
        let response = response.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let mut body = response.into_body();
        // The next event is made only when the one before has arrived.
        for number in 0..3 {
            let event = Bytes::from(format!("data: {number}\n\n"));
            sender.send(Ok(Frame::data(event.clone()))).await.unwrap();
            let frame = tokio::time::timeout(DEADLINE, body.frame()).await;
            let frame = frame.expect("an event is not kept back").unwrap();
            assert_eq!(frame.unwrap().into_data().unwrap(), event, "{target}");
        }
        drop(sender);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_request_to_upgrade_is_answered_as_any_other() {
    let app = App::start(|request| match request.path.as_str() {
        "/socket" => testkit::Response::ok("no sockets here"),
        _ => testkit::Response::status(404),
    })
    .await
    .unwrap();
    let mesh = Mesh::start().await;
    let callee = mesh.sidecar("callee").app_port(app.port());
    let _callee = callee.start().ready().await;
    let caller = mesh.sidecar("caller").start().ready().await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", caller.http))
        .await
        .unwrap();
    let request = "GET /v1.0/invoke/callee/method/socket HTTP/1.1\r\nhost: localhost\r\n\
                   connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains("no sockets here") {
            ensure!(stream.read_buf(&mut answer).await? > 0, "closed early");
        }
        Ok(())
    };
    let read = tokio::time::timeout(DEADLINE, read).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(matches!(read, Ok(Ok(()))), "{read:?}: {text}");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let headers: &HeaderMap = &app.seen("/socket")[0].headers;
    assert!(headers.get("upgrade").is_none(), "{headers:?}");
}
