//! Clients of placement and scheduler that misbehave: everybody else is served.

use anyhow::ensure;
use e2e::{ActorHost, Plane, Turns, quick};
use placement::placement_client::PlacementClient;
use proto::dapr::placement::v1 as placement;
use proto::dapr::scheduler::v1 as scheduler;
use scheduler::scheduler_client::SchedulerClient;
use serde_json::json;
use testkit::{DEADLINE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A host can come, be called, and have a reminder.
async fn serves(plane: &mut Plane, round: &str) {
    let turns = Turns::default();
    let config = json!({"entities": [round]});
    let sidecar = plane.sidecar("honest");
    let host = ActorHost::start_with(sidecar, &turns, "a", config, quick).await;
    let actor = format!("/v1.0/actors/{round}/1");
    let http = host.sidecar.http();
    let reply = http.post(&format!("{actor}/method/add"), "").await.unwrap();
    reply.expect_status(200);
    let reminder = json!({"dueTime": "0s"});
    let reply = http
        .post_json(&format!("{actor}/reminders/now"), &reminder)
        .await;
    reply.unwrap().expect_status(204);
    eventually(DEADLINE, async || {
        let fires = turns.calls(&format!("{round}/1/remind/now"));
        ensure!(fires > 0, "the reminder does not fire");
        Ok(())
    })
    .await;
    for member in [&mut plane.placement, &mut plane.scheduler] {
        assert!(member.is_running(), "{}", member.output());
        assert!(!member.output().contains("panicked"), "{}", member.output());
    }
}

#[tokio::test]
async fn garbage_on_their_ports_ends_with_its_connection() {
    let mut plane = Plane::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n";
    let noise: Vec<u8> = (0..50_000_u32).map(|i| (i * i / 7) as u8).collect();
    // A frame of a gigabyte, and one of a kind that nobody knows on a stream that is not there.
    let frames = [0xff, 0xff, 0xff, 0x77, 0xff, 0x7f, 0xff, 0xff, 0xff];
    let ports = [
        plane.placement.port,
        plane.scheduler.port,
        plane.placement.health,
        plane.scheduler.health,
        plane.etcd,
    ];
    let mut open = Vec::new();
    for port in ports {
        let framed = [&preface[..], &frames].concat();
        for bytes in [&noise[..], &framed, preface, request, b"\x16\x03\x01", b""] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // It may be cut off while it speaks.
            let _ = stream.write_all(bytes).await;
            open.push(stream);
        }
    }
    // They are all still there, as far as it is up to them.
    serves(&mut plane, "Counter").await;
    for mut stream in open {
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "a connection that was ended is still open");
    }
}

#[tokio::test]
async fn a_host_that_answers_no_order_does_not_hold_up_the_others() {
    let mut plane = Plane::start().await;
    let (says, messages) = mpsc::channel(1);
    let report = placement::Host {
        name: "127.0.0.1:1".into(),
        id: "mute".into(),
        namespace: "default".into(),
        entities: vec!["Silent".into()],
        operation: placement::HostOperation::Report.into(),
        ..Default::default()
    };
    says.send(report).await.unwrap();
    let address = format!("http://127.0.0.1:{}", plane.placement.port);
    let mut client = PlacementClient::connect(address).await.unwrap();
    let orders = client.report_dapr_status(ReceiverStream::new(messages));
    let mut orders = orders.await.unwrap().into_inner();
    let first = orders.message().await.unwrap().unwrap();
    assert_eq!(first.operation, "lock");
    serves(&mut plane, "Counter").await;
    // It was given up, whatever else was sent before.
    let ended = async { while let Ok(Some(_)) = orders.message().await {} };
    let ended = tokio::time::timeout(DEADLINE, ended).await;
    assert!(ended.is_ok(), "it still has a stream");
}

#[tokio::test]
async fn a_sidecar_that_answers_no_trigger_does_not_hold_up_the_others() {
    let mut plane = Plane::start().await;
    let (says, messages) = mpsc::channel(1);
    let initial = scheduler::WatchJobsRequestInitial {
        app_id: "mute".into(),
        namespace: "default".into(),
        actor_types: vec!["Silent".into()],
        ..Default::default()
    };
    let first = scheduler::WatchJobsRequest {
        watch_job_request_type: Some(scheduler::watch_jobs_request::WatchJobRequestType::Initial(
            initial,
        )),
    };
    says.send(first).await.unwrap();
    let address = format!("http://127.0.0.1:{}", plane.scheduler.port);
    let mut client = SchedulerClient::connect(address).await.unwrap();
    for number in 0..2000 {
        let target = scheduler::TargetJob {};
        let target = scheduler::job_target_metadata::Type::Job(target);
        let job = scheduler::ScheduleJobRequest {
            name: format!("j{number}"),
            job: Some(scheduler::Job {
                due_time: Some("0s".into()),
                ..Default::default()
            }),
            metadata: Some(scheduler::JobMetadata {
                app_id: "mute".into(),
                namespace: "default".into(),
                target: Some(scheduler::JobTargetMetadata {
                    r#type: Some(target),
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        client.schedule_job(job).await.unwrap();
    }
    // The stream is open and nobody reads it.
    let _triggers = client
        .watch_jobs(ReceiverStream::new(messages))
        .await
        .unwrap();
    serves(&mut plane, "Counter").await;
}
