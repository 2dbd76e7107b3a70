//! The API ports: who may call what, over which protocol, and what is logged.

use axum::body::Body;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::dapr::common::v1::InvokeRequest;
use proto::dapr::runtime::v1::dapr_client::DaprClient;
use proto::dapr::runtime::v1::{GetMetadataRequest, InvokeServiceRequest, SetMetadataRequest};
use testkit::{DEADLINE, eventually};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Mesh, echo, serve};

async fn client(port: u16) -> DaprClient<Channel> {
    let address = format!("http://127.0.0.1:{port}");
    DaprClient::connect(address).await.unwrap()
}

#[tokio::test]
async fn the_api_port_speaks_http_2_in_the_clear() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let sidecar = mesh.callee("app", &app, &[]).await;
    let stream = TcpStream::connect(("127.0.0.1", sidecar.http))
        .await
        .unwrap();
    let (io, executor) = (TokioIo::new(stream), TokioExecutor::new());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async {
        // It ends with the test.
        let _ = connection.await;
    });
    let uri = format!(
        "http://localhost:{}/v1.0/invoke/app/method/x?q=1",
        sidecar.http
    );
    let req = Request::get(uri).header("accept", "text/event-stream");
    let response = sender
        .send_request(req.body(Empty::<bytes::Bytes>::new()).unwrap())
        .await;
    let response = response.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, http::Version::HTTP_2)
    );
    let body = response
        .map(Body::new)
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let seen: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(seen["uri"], "/x?q=1");
}

#[tokio::test]
async fn a_token_guards_every_grpc_method_and_goes_no_further() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let builder = mesh.builder("app").app_port(app.port);
    let sidecar = builder.env("DAPR_API_TOKEN", "t0ken").start().ready().await;
    let mut dapr = client(sidecar.grpc).await;
    let refused = dapr.get_metadata(GetMetadataRequest {}).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unauthenticated, "Unauthorized")
    );
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/any.Service/Method",
    ] {
        let mut raw = tonic::client::Grpc::new(
            Channel::from_shared(format!("http://127.0.0.1:{}", sidecar.grpc))
                .unwrap()
                .connect()
                .await
                .unwrap(),
        );
        raw.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let path = http::uri::PathAndQuery::from_static(path);
        let refused = raw.unary(tonic::Request::new(()), path, codec).await;
        assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    }
    let mut request = tonic::Request::new(InvokeServiceRequest {
        id: "app".into(),
        message: Some(InvokeRequest {
            method: "x".into(),
            http_extension: Some(proto::dapr::common::v1::HttpExtension {
                verb: proto::dapr::common::v1::http_extension::Verb::Get.into(),
                querystring: String::new(),
            }),
            ..Default::default()
        }),
    });
    request
        .metadata_mut()
        .insert("dapr-api-token", "t0ken".parse().unwrap());
    let response = dapr.invoke_service(request).await.unwrap().into_inner();
    let seen: serde_json::Value = serde_json::from_slice(&response.data.unwrap().value).unwrap();
    assert_eq!(seen["headers"].get("dapr-api-token"), None);
}

#[tokio::test]
async fn a_message_over_the_cap_exhausts_a_resource() {
    let mesh = Mesh::new();
    let builder = mesh.builder("app").args(["--max-body-size", "1Ki"]);
    let sidecar = builder.start().ready().await;
    let mut dapr = client(sidecar.grpc).await;
    for (size, expected) in [(100, None), (2000, Some(Code::ResourceExhausted))] {
        let request = SetMetadataRequest {
            key: "k".into(),
            value: "v".repeat(size),
        };
        let refused = dapr.set_metadata(request).await.err();
        assert_eq!(refused.as_ref().map(Status::code), expected, "{refused:?}");
    }
}

#[tokio::test]
async fn only_what_is_allowed_is_there() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let config = mesh.apps.path().join("config.yaml");
    let rule = |protocol| format!("    - {{name: metadata, version: v1, protocol: {protocol}}}\n");
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: config\n\
         spec:\n  api:\n    allowed:\n{}{}",
        rule("http"),
        rule("grpc")
    );
    std::fs::write(&config, text).unwrap();
    let builder = mesh.builder("app").app_port(app.port);
    let builder = builder.args(["--config".as_ref(), config.as_os_str()]);
    let sidecar = builder.start().ready().await;
    let http = sidecar.http();
    for (path, status) in [
        ("/v1.0/metadata", 200),
        ("/v1.0/healthz", 204),
        ("/v1.0/invoke/app/method/x", 404),
        ("/v1.0/state/s/k", 404),
    ] {
        http.get(path).await.unwrap().expect_status(status);
    }
    let mut dapr = client(sidecar.grpc).await;
    dapr.get_metadata(GetMetadataRequest {}).await.unwrap();
    let refused = dapr
        .invoke_service(InvokeServiceRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "Not Implemented")
    );
}

#[tokio::test]
async fn calls_are_logged_with_path_code_and_size_but_without_the_query() {
    let (mesh, app) = (Mesh::new(), serve(echo(), false).await);
    let args = [
        "--enable-api-logging",
        "--log-as-json",
        "--log-level",
        "error",
    ];
    let sidecar = mesh.callee("app", &app, &args).await;
    let http = sidecar.http().header("user-agent", "tester");
    let path = "/v1.0/invoke/app/method/x?secret=1";
    let reply = http.post(path, "b").await.unwrap().expect_status(200);
    let mut dapr = client(sidecar.grpc).await;
    dapr.get_metadata(GetMetadataRequest {}).await.unwrap();
    let lines = eventually(DEADLINE, async || {
        let http = sidecar.lines_with("/v1.0/invoke/app/method/x");
        let grpc = sidecar.lines_with("gRPC API Called");
        anyhow::ensure!(!http.is_empty() && !grpc.is_empty(), "{}", sidecar.output());
        Ok([http[0].clone(), grpc[0].clone()])
    })
    .await;
    let [http, grpc] = lines.map(|l| serde_json::from_str::<serde_json::Value>(&l).unwrap());
    assert_eq!(http["msg"], "HTTP API Called");
    assert_eq!(http["method"], "POST /v1.0/invoke/app/method/x");
    assert_eq!(http["useragent"], "tester");
    assert_eq!(http["code"], 200);
    assert_eq!(http["size"], reply.body.len());
    assert!(http["duration"].is_number());
    assert_eq!(http["scope"], "dapr.runtime.http-info");
    assert_eq!(grpc["method"], "/dapr.proto.runtime.v1.Dapr/GetMetadata");
    assert_eq!(grpc["code"], 0);
    assert_eq!(grpc.get("size"), None);
    assert_eq!(grpc["scope"], "dapr.runtime.grpc.api-info");
}
