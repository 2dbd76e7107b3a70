use component::ErrorKind;
use expect_test::{Expect, expect};

use super::*;

/// Each line: HTTP status, gRPC code, HTTP body.
fn check(errors: &[ApiError], expected: &Expect) {
    let lines: Vec<String> = errors
        .iter()
        .map(|e| {
            format!(
                "{} {:?} {}",
                e.http.as_u16(),
                e.grpc,
                String::from_utf8(e.body()).unwrap()
            )
        })
        .collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn common_errors_read_as_documented() {
    check(
        &[
            unclassified("boom"),
            body_read("stream too large"),
            malformed("EOF"),
            malformed_bare("\"key\" is a required field"),
            unimplemented(),
            not_ready(&["runtime".into(), "x".into()]),
            app_id_not_match(),
            outbound_not_ready(),
            no_invoke_target(),
            invoke("b", "app id is empty", false),
            invoke("b", "no", true),
        ],
        &expect![[r#"
            500 Unknown {"errorCode":"ERROR","message":"boom"}
            400 InvalidArgument {"errorCode":"ERR_BODY_READ","message":"failed to read request body: stream too large"}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"failed deserializing HTTP body: EOF"}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"\"key\" is a required field"}
            501 Unimplemented {"errorCode":"ERR_API_UNIMPLEMENTED","message":"this API is currently not implemented"}
            500 Unavailable {"errorCode":"ERR_HEALTH_NOT_READY","message":"dapr is not ready: [runtime x]"}
            500 Unavailable {"errorCode":"ERR_HEALTH_APPID_NOT_MATCH","message":"dapr app-id does not match"}
            500 Unavailable {"errorCode":"ERR_OUTBOUND_HEALTH_NOT_READY","message":"dapr outbound is not ready"}
            404 NotFound {"errorCode":"ERR_DIRECT_INVOKE","message":"failed getting app id either from the URL path or the header dapr-app-id"}
            500 Internal {"errorCode":"ERR_DIRECT_INVOKE","message":"failed to invoke, id: b, err: app id is empty"}
            403 Internal {"errorCode":"ERR_DIRECT_INVOKE","message":"failed to invoke, id: b, err: no"}
        "#]],
    );
}

#[test]
fn state_errors_read_as_documented() {
    check(
        &[
            state::not_configured("s", Some("app")),
            state::not_found("s", None),
            state::illegal_key("s", "a||b"),
            state::over_http(state::illegal_key("s", "a||b"), true),
            state::over_http(state::illegal_key("s", "a||b"), false),
            state::get("k", "s", "x"),
            state::save(
                "s",
                "possible etag mismatch. error from state store: x",
                ErrorKind::EtagMismatch,
            ),
            state::save("s", "invalid etag value: x", ErrorKind::EtagInvalid),
            state::save("s", "x", ErrorKind::Internal),
            state::delete("k", "x", ErrorKind::EtagMismatch),
            state::transaction("x"),
            state::unsupported_operation("move"),
            state::no_transactions("s"),
            state::no_query("s"),
            state::too_many_operations("s", 3, 2),
            state::query("s", "x"),
        ],
        &expect![[r#"
            500 FailedPrecondition {"errorCode":"ERR_STATE_STORE_NOT_CONFIGURED","message":"state store s is not configured","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app"},"reason":"DAPR_STATE_NOT_CONFIGURED"}]}
            400 InvalidArgument {"errorCode":"ERR_STATE_STORE_NOT_FOUND","message":"state store s is not found","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_NOT_FOUND"}]}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"input key/keyPrefix 'a||b' can't contain '||'","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"a||b","description":"input key/keyPrefix 'a||b' can't contain '||'"}]},{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_ILLEGAL_KEY"}]}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"api error: code = InvalidArgument desc = input key/keyPrefix 'a||b' can't contain '||'","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"a||b","description":"api error: code = InvalidArgument desc = input key/keyPrefix 'a||b' can't contain '||'"}]},{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_ILLEGAL_KEY"}]}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"api error: code = InvalidArgument desc = input key/keyPrefix 'a||b' can't contain '||'","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"description":"api error: code = InvalidArgument desc = input key/keyPrefix 'a||b' can't contain '||'"}]},{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_ILLEGAL_KEY"}]}
            500 Internal {"errorCode":"ERR_STATE_GET","message":"fail to get k from state store s: x"}
            409 Aborted {"errorCode":"ERR_STATE_SAVE","message":"failed saving state in state store s: possible etag mismatch. error from state store: x"}
            400 InvalidArgument {"errorCode":"ERR_STATE_SAVE","message":"failed saving state in state store s: invalid etag value: x"}
            500 Internal {"errorCode":"ERR_STATE_SAVE","message":"failed saving state in state store s: x"}
            409 Aborted {"errorCode":"ERR_STATE_DELETE","message":"failed deleting state with key k: x"}
            500 Internal {"errorCode":"ERR_STATE_TRANSACTION","message":"error while executing state transaction: x"}
            400 Unimplemented {"errorCode":"ERR_NOT_SUPPORTED_STATE_OPERATION","message":"operation type move not supported"}
            500 Unimplemented {"errorCode":"ERR_STATE_STORE_NOT_SUPPORTED","message":"state store s doesn't support transactions","details":[{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Check the list of state stores and the features they support","url":"https://docs.dapr.io/reference/components-reference/supported-state-stores/"}]},{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED"}]}
            500 Internal {"errorCode":"ERR_STATE_STORE_NOT_SUPPORTED","message":"state store does not support querying","details":[{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_QUERYING_NOT_SUPPORTED"}]}
            400 InvalidArgument {"errorCode":"ERR_STATE_STORE_TOO_MANY_TRANSACTIONS","message":"the transaction contains 3 operations, which is more than what the state store supports: 2","details":[{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"currentOpsTransaction":"3","maxOpsPerTransaction":"2"},"reason":"DAPR_STATE_TOO_MANY_TRANSACTIONS"}]}
            500 Internal {"errorCode":"ERR_STATE_QUERY","message":"state store s query failed: x","details":[{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"s","resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,"reason":"DAPR_STATE_QUERY_FAILED"}]}
        "#]],
    );
}

#[test]
fn secrets_errors_read_as_documented() {
    check(
        &[
            secrets::not_configured(),
            secrets::not_found("s"),
            secrets::denied("k", "s"),
            secrets::get("k", "s", "x"),
            secrets::bulk_get("s", "x"),
        ],
        &expect![[r#"
            500 FailedPrecondition {"errorCode":"ERR_SECRET_STORES_NOT_CONFIGURED","message":"secret store is not configured"}
            401 InvalidArgument {"errorCode":"ERR_SECRET_STORE_NOT_FOUND","message":"failed finding secret store with key s"}
            403 PermissionDenied {"errorCode":"ERR_PERMISSION_DENIED","message":"access denied by policy to get \"k\" from \"s\""}
            500 Internal {"errorCode":"ERR_SECRET_GET","message":"failed getting secret with key k from secret store s: x"}
            500 Internal {"errorCode":"ERR_SECRET_GET","message":"failed getting secrets from secret store s: x"}
        "#]],
    );
}

#[test]
fn absent_blocks_answer_as_documented() {
    check(
        &[
            pubsub::not_found("p", Some([("a".to_owned(), "1".to_owned())].into())),
            absent::output_binding("b"),
            absent::configuration(),
            absent::lock(),
            absent::lock_expiry("l"),
            absent::crypto(),
            absent::conversation("c"),
        ],
        &expect![[r#"
            404 InvalidArgument {"errorCode":"ERR_PUBSUB_NOT_FOUND","message":"pubsub p is not found","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"a":"1"},"reason":"DAPR_PUBSUB_NOT_FOUND"}]}
            500 Internal {"errorCode":"ERR_INVOKE_OUTPUT_BINDING","message":"error invoking output binding b: couldn't find output binding b"}
            500 FailedPrecondition {"errorCode":"ERR_CONFIGURATION_STORE_NOT_CONFIGURED","message":"configuration stores not configured"}
            500 FailedPrecondition {"errorCode":"ERR_LOCK_STORE_NOT_CONFIGURED","message":"lock store is not configured"}
            400 InvalidArgument {"errorCode":"ERR_MALFORMED_REQUEST","message":"ExpiryInSeconds is not positive in lock store l"}
            500 Internal {"errorCode":"ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED","message":"crypto providers not configured"}
            400 InvalidArgument {"errorCode":"ERR_CONVERSATION_NOT_FOUND","message":"failed finding conversation component c"}
        "#]],
    );
}

#[test]
fn jobs_errors_read_as_documented() {
    use crate::scheduler::Error;
    use tonic::Status;
    let owner = jobs::Owner {
        app_id: "app",
        namespace: "default",
    };
    let taken = Error::from(Status::already_exists("job already exists: 'k'"));
    let bad = Error::from(Status::unknown("job failed validation: x"));
    let gone = Error::from(Status::not_found("job not found: n"));
    check(
        &[
            owner.empty(),
            owner.name_empty(),
            owner.schedule_empty(),
            jobs::name_twice("app"),
            owner.schedule(&taken),
            owner.schedule(&bad),
            owner.schedule(&Error::Disabled),
            owner.get(&gone),
            owner.list(&Error::Disabled),
            owner.delete(&bad),
        ],
        &expect![[r#"
            400 InvalidArgument {"errorCode":"DAPR_SCHEDULER_EMPTY","message":"Job is empty","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_EMPTY"}]}
            400 InvalidArgument {"errorCode":"DAPR_SCHEDULER_JOB_NAME_EMPTY","message":"Name is empty","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_JOB_NAME_EMPTY"}]}
            400 InvalidArgument {"errorCode":"DAPR_SCHEDULER_SCHEDULE_EMPTY","message":"Schedule is empty","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_SCHEDULE_EMPTY"}]}
            400 InvalidArgument {"errorCode":"DAPR_SCHEDULER_JOB_NAME","message":"Set the job name in the url only","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app"},"reason":"DAPR_SCHEDULER_JOB_NAME"}]}
            409 AlreadyExists {"errorCode":"DAPR_SCHEDULER_SCHEDULE_JOB","message":"failed to schedule job due to: rpc error: code = AlreadyExists desc = job already exists: 'k'","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_SCHEDULE_JOB"}]}
            500 Internal {"errorCode":"DAPR_SCHEDULER_SCHEDULE_JOB","message":"failed to schedule job due to: rpc error: code = Unknown desc = job failed validation: x","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_SCHEDULE_JOB"}]}
            500 Internal {"errorCode":"DAPR_SCHEDULER_SCHEDULE_JOB","message":"failed to schedule job due to: scheduler clients are disabled","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_SCHEDULE_JOB"}]}
            500 Internal {"errorCode":"DAPR_SCHEDULER_GET_JOB","message":"failed to get job due to: rpc error: code = NotFound desc = job not found: n","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_GET_JOB"}]}
            500 Internal {"errorCode":"DAPR_SCHEDULER_LIST_JOBS","message":"failed to list jobs due to: scheduler clients are disabled","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_LIST_JOBS"}]}
            500 Internal {"errorCode":"DAPR_SCHEDULER_DELETE_JOB","message":"failed to delete job due to: rpc error: code = Unknown desc = job failed validation: x","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":{"appID":"app","namespace":"default"},"reason":"DAPR_SCHEDULER_DELETE_JOB"}]}
        "#]],
    );
}

#[test]
fn actor_errors_are_those_of_the_table() {
    use super::actors::Doing;
    use ::actors::Error;
    use ::actors::call::Actor;

    let gone = || Error::NoAddress(Actor::new("cat", "7"));
    let reserved = Error::Reserved("dapr.internal.x".into());
    check(
        &[
            super::actors::invoke(&Error::NoPlacement),
            super::actors::invoke(&Error::Closed),
            super::actors::invoke(&gone()),
            super::actors::invoke(&Error::StackDepth),
            super::actors::invoke(&Error::MethodNotFound("actors/cat/7/method/purr".into())),
            super::actors::general(&reserved),
            super::actors::no_state_store(),
            super::actors::bad_request("reminder name cannot be empty"),
            super::actors::state_get_failed("x"),
            super::actors::state_save(&Error::InstanceMissing),
            super::actors::state_save_failed("missing key"),
            super::actors::timer_create(&Error::TypeNotRegistered(Actor::new("cat", "7"))),
            super::actors::reminder(Doing::Create, "x"),
            super::actors::reminder(Doing::Get, "x"),
            super::actors::reminder(Doing::Delete, "x"),
            super::actors::reminder_not_found("r"),
            super::actors::reminder_exists("r"),
            super::actors::reminder_not_hosted(),
        ],
        &expect![[r#"
            400 Unavailable {"errorCode":"ERR_ACTOR_NO_PLACEMENT","message":"placement service is not configured"}
            503 Unavailable {"errorCode":"ERR_ACTOR_RUNTIME_CLOSED","message":"actor runtime is closed"}
            500 Internal {"errorCode":"ERR_ACTOR_INVOKE_METHOD","message":"error invoke actor method: failed to lookup actor: api error: code = FailedPrecondition desc = did not find address for actor 'cat/7'"}
            500 ResourceExhausted {"errorCode":"ERR_ACTOR_STACK_DEPTH","message":"maximum stack depth exceeded"}
            500 Internal {"errorCode":"ERR_ACTOR_INVOKE_METHOD","message":"error invoke actor method: actor method not found: actors/cat/7/method/purr"}
            403 PermissionDenied {"errorCode":"ERR_ACTOR_TYPE_RESERVED","message":"actor type \"dapr.internal.x\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted"}
            500 Internal {"errorCode":"ERR_ACTOR_RUNTIME_NOT_FOUND","message":"the state store is not configured to use the actor runtime. Have you set the - name: actorStateStore value: \"true\" in your state store component file?"}
            400 InvalidArgument {"errorCode":"ERR_BAD_REQUEST","message":"invalid request: reminder name cannot be empty"}
            500 Internal {"errorCode":"ERR_ACTOR_STATE_GET","message":"error getting actor state: x"}
            400 Internal {"errorCode":"ERR_ACTOR_INSTANCE_MISSING","message":"actor instance is missing"}
            500 Internal {"errorCode":"ERR_ACTOR_STATE_TRANSACTION_SAVE","message":"error saving actor transaction state: missing key"}
            500 Internal {"errorCode":"ERR_ACTOR_TIMER_CREATE","message":"error creating actor timer: can't create timer for actor cat||7: actor type not registered"}
            500 Internal {"errorCode":"ERR_ACTOR_REMINDER_CREATE","message":"error creating actor reminder: x"}
            500 Internal {"errorCode":"ERR_ACTOR_REMINDER_GET","message":"error getting actor reminder: x"}
            500 Internal {"errorCode":"ERR_ACTOR_REMINDER_DELETE","message":"error deleting actor reminder: x"}
            404 NotFound {"errorCode":"ERR_ACTOR_REMINDER_NOT_FOUND","message":"actor reminder not found: r"}
            409 AlreadyExists {"errorCode":"ERR_ACTOR_REMINDER_ALREADY_EXISTS","message":"actor reminder already exists: r"}
            403 PermissionDenied {"errorCode":"ERR_ACTOR_REMINDER_NON_HOSTED","message":"operations on actor reminders are only possible on hosted actor types"}
        "#]],
    );
}

#[test]
fn grpc_shows_the_code_of_an_actor_error_that_has_one() {
    use ::actors::Error;
    use ::actors::call::Actor;

    let no_address = "failed to lookup actor: api error: code = FailedPrecondition desc = \
                      did not find address for actor 'cat/7'";
    for (error, code, message) in [
        (
            Error::NoAddress(Actor::new("cat", "7")),
            tonic::Code::FailedPrecondition,
            no_address,
        ),
        (
            Error::StackDepth,
            tonic::Code::ResourceExhausted,
            "maximum stack depth exceeded",
        ),
        (
            Error::from(tonic::Status::unavailable("gone")),
            tonic::Code::Unavailable,
            "gone",
        ),
        (
            Error::Moved,
            tonic::Code::Internal,
            "error invoke actor method: remote actor moved",
        ),
    ] {
        let status = super::actors::invoke_status(&error);
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

#[test]
fn grpc_status_carries_an_error_info_for_basic_and_all_details_for_rich() {
    use prost::Message;
    let decode = |e: ApiError| proto::google::rpc::Status::decode(e.status().details()).unwrap();
    assert!(secrets::not_configured().status().details().is_empty());
    assert_eq!(
        decode(state::transaction("x")).details[0].type_url,
        "type.googleapis.com/google.rpc.ErrorInfo"
    );
    let kinds: Vec<String> = decode(state::no_transactions("s"))
        .details
        .into_iter()
        .map(|d| d.type_url)
        .collect();
    assert_eq!(kinds.len(), 3);
    assert!(
        kinds[0].ends_with("Help")
            && kinds[1].ends_with("ResourceInfo")
            && kinds[2].ends_with("ErrorInfo")
    );
}
