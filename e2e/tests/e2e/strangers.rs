//! Peers whose certificates do not say what they should.

use bytes::Bytes;
use e2e::Mesh;
use http::Response;
use testkit::pki::{Authority, Leaf, credulous_client};
use testkit::server::full;
use testkit::{App, Http, Server, http2_over_tls};

/// One unary call of the method `secret`, by GET.
fn call_local() -> Bytes {
    let extension = [0x08, 1];
    let mut message = vec![0x0a, 6];
    message.extend(b"secret");
    message.extend([0x22, extension.len() as u8]);
    message.extend(extension);
    // Version 1 of the protocol, then the message.
    let mut request = vec![0x08, 1, 0x1a, message.len() as u8];
    request.extend(message);
    let mut frame = vec![0, 0, 0, 0, request.len() as u8];
    frame.extend(request);
    frame.into()
}

#[tokio::test]
async fn a_call_does_not_go_to_whoever_sits_at_the_callees_address() {
    let mesh = Mesh::start().await;
    let caller = mesh.sidecar("caller").start().ready().await;
    let answer = |_| async { Response::new(full("mine now")) };
    let elsewhere = Authority::root("elsewhere").leaf(Leaf {
        name: "spiffe://public/ns/default/elsewhere",
        expired: false,
    });
    let tls = async |credentials: testkit::pki::Credentials| {
        let config = credentials.server(None);
        Server::start_tls(config, answer).await.unwrap()
    };
    let impostor = tls(mesh.credentials("other", false)).await;
    let expired = tls(mesh.credentials("expired", true)).await;
    let foreign = tls(elsewhere).await;
    let plain = Server::start(answer).await.unwrap();
    for (id, server, reason) in [
        (
            "impostor",
            &impostor,
            "the certificate is of spiffe://public/ns/default/other, \
             not of app impostor in namespace default",
        ),
        ("expired", &expired, "expired"),
        ("elsewhere", &foreign, "UnknownIssuer"),
        ("plain", &plain, "TLS handshake failed"),
    ] {
        mesh.register(id, &server.address());
        let path = format!("/v1.0/invoke/{id}/method/secret");
        let reply = caller.http().post(&path, "a secret").await.unwrap();
        let message = reply.expect_error(500, "ERR_DIRECT_INVOKE");
        assert!(message.contains(reason), "{id}: {message}");
        let named = format!("cannot reach the sidecar of {id} at {}", server.address());
        assert!(message.contains(&named), "{id}: {message}");
        // The plain one may be sent the start of a handshake, never a request.
        assert_eq!(server.requests(), 0, "{id}");
    }
}

#[tokio::test]
async fn whoever_shows_no_good_certificate_does_not_reach_the_app() {
    let mesh = Mesh::start().await;
    let app = App::start(|request| match request.path.as_str() {
        "/secret" => testkit::Response::ok("told"),
        _ => testkit::Response::status(404),
    })
    .await
    .unwrap();
    let callee = mesh.sidecar("callee").app_port(app.port());
    let callee = callee.start().ready().await;
    let path = "/dapr.proto.internals.v1.ServiceInvocation/CallLocal";
    let call = async |own: Option<&testkit::pki::Credentials>| {
        http2_over_tls(callee.internal, credulous_client(own), path, call_local()).await
    };
    let foreign = Authority::root("elsewhere").leaf(Leaf {
        name: "spiffe://public/ns/default/friend",
        expired: false,
    });
    let nameless = Authority::root("elsewhere").leaf(Leaf {
        name: "friend.example",
        expired: false,
    });
    for (what, own) in [
        ("none", None),
        ("expired", Some(mesh.credentials("friend", true))),
        ("foreign", Some(foreign)),
        ("nameless", Some(nameless)),
    ] {
        let answer = call(own.as_ref()).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    assert!(Http::port(callee.internal).get("/").await.is_err());
    assert_eq!(app.seen("/secret").len(), 0);

    // The same call with a good one arrives: nothing else kept it out.
    let friend = mesh.credentials("friend", false);
    assert_eq!(call(Some(&friend)).await.unwrap(), 200);
    assert_eq!(app.seen("/secret").len(), 1);
}
