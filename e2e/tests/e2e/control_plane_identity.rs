//! Placement and scheduler in a mesh: they serve whoever is who it says.

use anyhow::ensure;
use e2e::{ActorHost, Mesh, Plane, Turns, quick};
use prost::Message;
use proto::dapr::placement::v1 as placement;
use proto::dapr::scheduler::v1 as scheduler;
use serde_json::json;
use testkit::pki::credulous_client;
use testkit::{DEADLINE, eventually, grpc_over_tls};

const PERMISSION_DENIED: u16 = 7;

#[tokio::test]
async fn actors_are_called_and_jobs_fire_between_sidecars_that_have_identities() {
    let mesh = Mesh::start().await;
    let (plane, turns) = (Plane::start_in(&mesh).await, Turns::default());
    let config = json!({"entities": ["Counter"]});
    let mut hosts = Vec::new();
    for name in ["a", "b"] {
        let sidecar = plane.connect(mesh.sidecar("secured"));
        let host = ActorHost::start_with(sidecar, &turns, name, config.clone(), quick);
        hosts.push(host.await);
    }
    // Until the one sidecar has called both hosts, one of which is another's.
    let http = hosts[0].sidecar.http();
    let mut id = 0;
    eventually(DEADLINE, async || {
        id += 1;
        let path = format!("/v1.0/actors/Counter/{id}/method/add");
        http.post(&path, "").await?.expect_status(200);
        let (a, b) = (turns.calls_in("a"), turns.calls_in("b"));
        ensure!(a > 0 && b > 0, "a was called {a} times, b {b} times");
        Ok(())
    })
    .await;
    let job = json!({"dueTime": "0s"});
    let reply = http.post_json("/v1.0/jobs/report", &job).await.unwrap();
    reply.expect_status(204);
    eventually(DEADLINE, async || {
        let runs: usize = hosts
            .iter()
            .map(|host| host.seen("/job/report").len())
            .sum();
        ensure!(runs > 0, "the job does not fire");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_speaks_to_placement_or_scheduler_in_the_name_of_another_app() {
    let mesh = Mesh::start().await;
    let plane = Plane::start_in(&mesh).await;
    let own = mesh.credentials("liar", false);
    let report = |id: &str| placement::Host {
        name: "127.0.0.1:1".into(),
        id: id.into(),
        namespace: "default".into(),
        entities: vec!["Counter".into()],
        operation: placement::HostOperation::Report.into(),
        ..Default::default()
    };
    let reported = async |id| {
        let path = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";
        let (tls, message) = (credulous_client(Some(&own)), report(id).encode_to_vec());
        grpc_over_tls(plane.placement.port, tls, path, &message)
            .await
            .unwrap()
    };
    assert_eq!(reported("victim").await, PERMISSION_DENIED);
    assert_eq!(reported("liar").await, 0);

    let metadata = |id: &str| scheduler::JobMetadata {
        app_id: id.into(),
        namespace: "default".into(),
        target: Some(scheduler::JobTargetMetadata {
            r#type: Some(scheduler::job_target_metadata::Type::Job(Default::default())),
        }),
        ..Default::default()
    };
    let scheduled = async |id| {
        let request = scheduler::ScheduleJobRequest {
            name: "job".into(),
            job: Some(scheduler::Job {
                due_time: Some("1h".into()),
                ..Default::default()
            }),
            metadata: Some(metadata(id)),
            ..Default::default()
        };
        let path = "/dapr.proto.scheduler.v1.Scheduler/ScheduleJob";
        let (tls, message) = (credulous_client(Some(&own)), request.encode_to_vec());
        grpc_over_tls(plane.scheduler.port, tls, path, &message)
            .await
            .unwrap()
    };
    assert_eq!(scheduled("victim").await, PERMISSION_DENIED);
    assert_eq!(scheduled("liar").await, 0);
    // Without a certificate nobody gets as far as that.
    for port in [plane.placement.port, plane.scheduler.port] {
        let tls = credulous_client(None);
        let answer = grpc_over_tls(port, tls, "/", &[]).await;
        assert!(answer.is_err(), "{answer:?}");
    }
}
