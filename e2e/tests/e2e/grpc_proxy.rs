//! Calls of an app's own gRPC service through two sidecars.

use bytes::Bytes;
use e2e::{Mesh, Sidecar};
use testkit::{DEADLINE, Server};
use tokio::sync::mpsc;
use tonic::Code;

use crate::grpc_service::{self, Client};

async fn pair(mesh: &Mesh, app: &Server) -> (Sidecar, Sidecar) {
    let callee = mesh.sidecar("callee").args(["--app-protocol", "grpc"]);
    let callee = callee.app_port(app.port()).start().ready().await;
    (mesh.sidecar("caller").start().ready().await, callee)
}

#[tokio::test]
async fn methods_of_every_shape_are_proxied() {
    let (mesh, app) = (Mesh::start().await, grpc_service::serve().await);
    let (caller, _callee) = pair(&mesh, &app).await;
    let mut client = Client::connect(caller.grpc, "callee").await;

    let answer = client.one("a", &[("x-key", "kept")]).await.unwrap();
    assert_eq!(answer.metadata().get("x-key").unwrap(), "kept");
    assert_eq!(answer.into_inner(), "one:a");

    assert_eq!(client.collect(&["a", "b", "c"]).await.unwrap(), "a+b+c");

    let mut answers = client.spread("s").await.unwrap();
    for expected in ["s0", "s1", "s2"] {
        assert_eq!(answers.message().await.unwrap().unwrap(), expected);
    }
    assert!(answers.message().await.unwrap().is_none());

    let (sender, receiver) = mpsc::channel(1);
    // The app answers what has arrived: nothing may wait for the end.
    sender.send(Bytes::from("0")).await.unwrap();
    let mut answers = client.talk(receiver).await.unwrap();
    for number in 0..3 {
        let answer = tokio::time::timeout(DEADLINE, answers.message()).await;
        let answer = answer.expect("a message is not kept back").unwrap();
        assert_eq!(answer.unwrap(), format!("re:{number}"));
        let next = Bytes::from((number + 1).to_string());
        sender.send(next).await.unwrap();
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap().unwrap(), "re:3");
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn what_fails_on_the_way_or_in_the_app_says_so() {
    let (mesh, app) = (Mesh::start().await, grpc_service::serve().await);
    let (caller, mut callee) = pair(&mesh, &app).await;
    let mut client = Client::connect(caller.grpc, "callee").await;
    let status = client.one("fail", &[]).await.unwrap_err();
    let told = (status.code(), status.message());
    assert_eq!(told, (Code::FailedPrecondition, "as asked"));

    let (sender, receiver) = mpsc::channel(1);
    sender.send(Bytes::from("0")).await.unwrap();
    let mut answers = client.talk(receiver).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), "re:0");
    callee.kill().await.unwrap();
    let next = tokio::time::timeout(DEADLINE, answers.message()).await;
    let next = next.expect("the caller is told");
    assert!(next.is_err(), "a stream that looks whole: {next:?}");
    let status = client.one("a", &[]).await.unwrap_err();
    assert!(status.message().contains("callee"), "{status:?}");
}
