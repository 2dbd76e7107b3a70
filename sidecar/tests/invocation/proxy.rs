//! Methods of apps' own gRPC services, through one and two sidecars.

use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use proto::dapr::common::v1::{InvokeRequest, StreamPayload};
use proto::dapr::runtime::v1::app_callback_client::AppCallbackClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::support::{Mesh, grpc_app, serve};

async fn channel(port: u16) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    endpoint.connect().await.unwrap()
}

fn for_app<T>(message: T, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("dapr-app-id", id.parse().unwrap());
    request
}

#[tokio::test]
async fn a_method_of_the_app_is_called_and_its_errors_come_back() {
    let (mesh, app) = (Mesh::new(), serve(grpc_app(), false).await);
    let callee = mesh.callee("app", &app, &["--app-protocol", "grpc"]).await;
    let caller = mesh.caller().await;
    for port in [callee.grpc, caller.grpc] {
        let mut client = AppCallbackClient::new(channel(port).await);
        let message = InvokeRequest {
            method: "m".into(),
            ..Default::default()
        };
        let response = client.on_invoke(for_app(message, "app")).await.unwrap();
        assert_eq!(response.metadata().get("x-app").unwrap(), "grpc");
        let seen = response.into_inner().data.unwrap().value;
        let seen: serde_json::Value = serde_json::from_slice(&seen).unwrap();
        assert_eq!(seen["method"], "m");

        let message = InvokeRequest {
            method: "fail".into(),
            ..Default::default()
        };
        let refused = client.on_invoke(for_app(message, "app")).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::NotFound, "no such order")
        );
        assert!(!refused.details().is_empty());

        let refused = client
            .on_invoke(InvokeRequest::default())
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::Unknown, "{refused}");
        assert!(refused.message().contains("dapr-app-id"), "{refused}");
    }
}

#[tokio::test]
async fn messages_of_a_stream_pass_one_by_one_in_both_directions() {
    let (mesh, app) = (Mesh::new(), serve(grpc_app(), false).await);
    let _callee = mesh.callee("app", &app, &["--app-protocol", "grpc"]).await;
    let caller = mesh.caller().await;
    let mut client = tonic::client::Grpc::new(channel(caller.grpc).await);
    client.ready().await.unwrap();
    let (sender, receiver) = mpsc::channel(1);
    let payload = |seq| StreamPayload {
        data: vec![7; 1000].into(),
        seq,
    };
    sender.send(payload(0)).await.unwrap();
    let requests = for_app(ReceiverStream::new(receiver), "app");
    let path = PathAndQuery::from_static("/test.Echo/Chat");
    let codec = ProstCodec::<StreamPayload, StreamPayload>::default();
    let answers = client.streaming(requests, path, codec).await.unwrap();
    assert_eq!(answers.metadata().get("x-caller").unwrap(), "caller");
    let mut answers = answers.into_inner();
    for seq in 0..5 {
        // The next is sent only when the last has come back.
        assert_eq!(answers.message().await.unwrap(), Some(payload(seq)));
        sender.send(payload(seq + 1)).await.unwrap();
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), Some(payload(5)));
    assert_eq!(answers.message().await.unwrap(), None);
    let trailers = answers.trailers().await.unwrap().unwrap();
    assert_eq!(trailers.get("x-trailer").unwrap(), "seen");
}

#[tokio::test]
async fn an_app_that_nobody_has_is_named() {
    let mesh = Mesh::new();
    let caller = mesh.caller().await;
    let mut client = tonic::client::Grpc::new(channel(caller.grpc).await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Chat");
    let codec = ProstCodec::<StreamPayload, StreamPayload>::default();
    let requests = for_app(stream::empty().boxed(), "nobody");
    let refused = client.streaming(requests, path, codec).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unknown);
    assert!(refused.message().contains("nobody"), "{refused}");
}
