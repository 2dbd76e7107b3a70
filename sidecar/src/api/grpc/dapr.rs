//! The service `dapr.proto.runtime.v1.Dapr`: a table of contents. Each method
//! goes to its block, which owns its meaning.

use proto::dapr::common::v1 as common;
use proto::dapr::runtime::v1 as rt;
use proto::dapr::runtime::v1::dapr_server::Dapr;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use crate::actors::{self, Actors};
use crate::api::absent::Absent;
use crate::api::error::ApiError;
use crate::api::errors;
use crate::api::trace::Traced;
use crate::invoke::{self, Invoker};
use crate::jobs::{self, Jobs};
use crate::metadata::{self, Metadata};
use crate::pubsub::{self, Brokers};
use crate::secrets::{self, Secrets};
use crate::shutdown::Shutdown;
use crate::state::{self, State};

/// The blocks behind the gRPC API.
pub(crate) struct Api {
    pub(crate) actors: Actors,
    pub(crate) absent: Absent,
    pub(crate) invoker: Invoker,
    pub(crate) jobs: Jobs,
    pub(crate) metadata: Metadata,
    pub(crate) pubsub: Brokers,
    pub(crate) secrets: Secrets,
    pub(crate) shutdown: Shutdown,
    pub(crate) state: State,
}

/// Writes the trait's methods from one line each: name, request, response, and an
/// expression over the API and the request's message or the whole request.
macro_rules! methods {
    (
        streams { $($stream:ident = $item:ty,)* }
        messages { $($name:ident($req:ty) -> $res:ty = |$api:pat_param, $msg:pat_param| $body:expr;)* }
        requests { $($name2:ident($req2:ty) -> $res2:ty = |$api2:pat_param, $msg2:pat_param| $body2:expr;)* }
    ) => {
        #[tonic::async_trait]
        impl Dapr for Api {
            type SubscribeActorEventsAlpha1Stream = actors::Events;
            $(type $stream = Empty<Result<$item, Status>>;)*
            $(async fn $name(&self, request: Request<$req>) -> Result<Response<$res>, Status> {
                let $api = self;
                let (_, extensions, message) = request.into_parts();
                if let Some(traced) = extensions.get::<Traced>() {
                    traced.message(&message);
                }
                let $msg = message;
                $body.map(Response::new)
            })*
            $(async fn $name2(&self, request: Request<$req2>) -> Result<Response<$res2>, Status> {
                let $api2 = self;
                let $msg2 = request;
                $body2
            })*
        }
    };
}

fn none<T>(error: ApiError) -> Result<T, Status> {
    Err(error.into())
}

methods! {
    streams {
        SubscribeTopicEventsAlpha1Stream = rt::SubscribeTopicEventsResponseAlpha1,
        SubscribeConfigurationAlpha1Stream = rt::SubscribeConfigurationResponse,
        SubscribeConfigurationStream = rt::SubscribeConfigurationResponse,
        EncryptAlpha1Stream = rt::EncryptResponse,
        DecryptAlpha1Stream = rt::DecryptResponse,
    }
    messages {
        get_state(rt::GetStateRequest) -> rt::GetStateResponse = |api, m| state::grpc::get(&api.state, m).await;
        get_bulk_state(rt::GetBulkStateRequest) -> rt::GetBulkStateResponse = |api, m| state::grpc::bulk_get(&api.state, m).await;
        save_state(rt::SaveStateRequest) -> () = |api, m| state::grpc::save(&api.state, m).await;
        delete_state(rt::DeleteStateRequest) -> () = |api, m| state::grpc::delete(&api.state, m).await;
        delete_bulk_state(rt::DeleteBulkStateRequest) -> () = |api, m| state::grpc::bulk_delete(&api.state, m).await;
        execute_state_transaction(rt::ExecuteStateTransactionRequest) -> () = |api, m| state::grpc::transact(&api.state, m).await;
        query_state_alpha1(rt::QueryStateRequest) -> rt::QueryStateResponse = |api, m| state::grpc::query(&api.state, m).await;

        get_secret(rt::GetSecretRequest) -> rt::GetSecretResponse = |api, m| secrets::grpc::get(&api.secrets, m).await;
        get_bulk_secret(rt::GetBulkSecretRequest) -> rt::GetBulkSecretResponse = |api, m| secrets::grpc::bulk(&api.secrets, m).await;

        get_metadata(rt::GetMetadataRequest) -> rt::GetMetadataResponse = |api, _| Ok(metadata::grpc::get(&api.metadata));
        set_metadata(rt::SetMetadataRequest) -> () = |api, m| {
            api.metadata.set(m.key, m.value);
            Ok(())
        };

        bulk_publish_event(rt::BulkPublishRequest) -> rt::BulkPublishResponse = |api, m| none(api.pubsub.bulk(&m.pubsub_name, None));
        bulk_publish_event_alpha1(rt::BulkPublishRequest) -> rt::BulkPublishResponse = |api, m| none(api.pubsub.bulk(&m.pubsub_name, None));

        invoke_binding(rt::InvokeBindingRequest) -> rt::InvokeBindingResponse = |api, m| none(api.absent.binding(&m.name));

        get_configuration(rt::GetConfigurationRequest) -> rt::GetConfigurationResponse = |api, _| none(api.absent.configuration());
        get_configuration_alpha1(rt::GetConfigurationRequest) -> rt::GetConfigurationResponse = |api, _| none(api.absent.configuration());
        unsubscribe_configuration(rt::UnsubscribeConfigurationRequest) -> rt::UnsubscribeConfigurationResponse = |api, _| none(api.absent.configuration());
        unsubscribe_configuration_alpha1(rt::UnsubscribeConfigurationRequest) -> rt::UnsubscribeConfigurationResponse = |api, _| none(api.absent.configuration());
        subscribe_configuration(rt::SubscribeConfigurationRequest) -> Self::SubscribeConfigurationStream = |api, _| none(api.absent.configuration());
        subscribe_configuration_alpha1(rt::SubscribeConfigurationRequest) -> Self::SubscribeConfigurationAlpha1Stream = |api, _| none(api.absent.configuration());

        try_lock_alpha1(rt::TryLockRequest) -> rt::TryLockResponse = |api, m| none(api.absent.lock(&m.store_name, Some(m.expiry_in_seconds)));
        unlock_alpha1(rt::UnlockRequest) -> rt::UnlockResponse = |api, m| none(api.absent.lock(&m.store_name, None));

        register_actor_timer(rt::RegisterActorTimerRequest) -> () = |api, m| actors::grpc::create_timer(&api.actors, m).await;
        unregister_actor_timer(rt::UnregisterActorTimerRequest) -> () = |api, m| actors::grpc::delete_timer(&api.actors, m).await;
        register_actor_reminder(rt::RegisterActorReminderRequest) -> () = |api, m| actors::grpc::create_reminder(&api.actors, m).await;
        unregister_actor_reminder(rt::UnregisterActorReminderRequest) -> () = |api, m| actors::grpc::delete_reminder(&api.actors, m).await;
        unregister_actor_reminders_by_type(rt::UnregisterActorRemindersByTypeRequest) -> rt::UnregisterActorRemindersByTypeResponse = |api, m| actors::grpc::delete_reminders(&api.actors, m).await;
        list_actor_reminders(rt::ListActorRemindersRequest) -> rt::ListActorRemindersResponse = |api, m| actors::grpc::list_reminders(&api.actors, m).await;
        get_actor_state(rt::GetActorStateRequest) -> rt::GetActorStateResponse = |api, m| actors::grpc::get_state(&api.actors, m).await;
        get_actor_reminder(rt::GetActorReminderRequest) -> rt::GetActorReminderResponse = |api, m| actors::grpc::get_reminder(&api.actors, m).await;
        execute_actor_state_transaction(rt::ExecuteActorStateTransactionRequest) -> () = |api, m| actors::grpc::save_state(&api.actors, m).await;

        subtle_get_key_alpha1(rt::SubtleGetKeyRequest) -> rt::SubtleGetKeyResponse = |_, _| none(errors::unimplemented());
        subtle_encrypt_alpha1(rt::SubtleEncryptRequest) -> rt::SubtleEncryptResponse = |_, _| none(errors::unimplemented());
        subtle_decrypt_alpha1(rt::SubtleDecryptRequest) -> rt::SubtleDecryptResponse = |_, _| none(errors::unimplemented());
        subtle_wrap_key_alpha1(rt::SubtleWrapKeyRequest) -> rt::SubtleWrapKeyResponse = |_, _| none(errors::unimplemented());
        subtle_unwrap_key_alpha1(rt::SubtleUnwrapKeyRequest) -> rt::SubtleUnwrapKeyResponse = |_, _| none(errors::unimplemented());
        subtle_sign_alpha1(rt::SubtleSignRequest) -> rt::SubtleSignResponse = |_, _| none(errors::unimplemented());
        subtle_verify_alpha1(rt::SubtleVerifyRequest) -> rt::SubtleVerifyResponse = |_, _| none(errors::unimplemented());

        start_workflow_alpha1(rt::StartWorkflowRequest) -> rt::StartWorkflowResponse = |api, _| none(api.absent.workflow());
        get_workflow_alpha1(rt::GetWorkflowRequest) -> rt::GetWorkflowResponse = |api, _| none(api.absent.workflow());
        purge_workflow_alpha1(rt::PurgeWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        terminate_workflow_alpha1(rt::TerminateWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        pause_workflow_alpha1(rt::PauseWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        resume_workflow_alpha1(rt::ResumeWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        raise_event_workflow_alpha1(rt::RaiseEventWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        start_workflow_beta1(rt::StartWorkflowRequest) -> rt::StartWorkflowResponse = |api, _| none(api.absent.workflow());
        get_workflow_beta1(rt::GetWorkflowRequest) -> rt::GetWorkflowResponse = |api, _| none(api.absent.workflow());
        purge_workflow_beta1(rt::PurgeWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        terminate_workflow_beta1(rt::TerminateWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        pause_workflow_beta1(rt::PauseWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        resume_workflow_beta1(rt::ResumeWorkflowRequest) -> () = |api, _| none(api.absent.workflow());
        raise_event_workflow_beta1(rt::RaiseEventWorkflowRequest) -> () = |api, _| none(api.absent.workflow());

        schedule_job(rt::ScheduleJobRequest) -> rt::ScheduleJobResponse = |api, m| jobs::grpc::schedule(&api.jobs, m).await;
        get_job(rt::GetJobRequest) -> rt::GetJobResponse = |api, m| jobs::grpc::get(&api.jobs, m).await;
        delete_job(rt::DeleteJobRequest) -> rt::DeleteJobResponse = |api, m| jobs::grpc::delete(&api.jobs, m).await;
        schedule_job_alpha1(rt::ScheduleJobRequest) -> rt::ScheduleJobResponse = |api, m| jobs::grpc::schedule(&api.jobs, m).await;
        get_job_alpha1(rt::GetJobRequest) -> rt::GetJobResponse = |api, m| jobs::grpc::get(&api.jobs, m).await;
        delete_job_alpha1(rt::DeleteJobRequest) -> rt::DeleteJobResponse = |api, m| jobs::grpc::delete(&api.jobs, m).await;
        delete_jobs_by_prefix(rt::DeleteJobsByPrefixRequest) -> rt::DeleteJobsByPrefixResponse = |api, m| jobs::grpc::delete_by_prefix(&api.jobs, m.name_prefix).await;
        delete_jobs_by_prefix_alpha1(rt::DeleteJobsByPrefixRequestAlpha1) -> rt::DeleteJobsByPrefixResponseAlpha1 = |api, m| jobs::grpc::delete_by_prefix(&api.jobs, m.name_prefix).await;
        list_jobs(rt::ListJobsRequest) -> rt::ListJobsResponse = |api, _| jobs::grpc::list(&api.jobs).await.map(|jobs| rt::ListJobsResponse { jobs });
        list_jobs_alpha1(rt::ListJobsRequestAlpha1) -> rt::ListJobsResponseAlpha1 = |api, _| jobs::grpc::list(&api.jobs).await.map(|jobs| rt::ListJobsResponseAlpha1 { jobs });

        converse_alpha1(rt::ConversationRequest) -> rt::ConversationResponse = |api, m| none(api.absent.conversation(&m.name));
        converse_alpha2(rt::ConversationRequestAlpha2) -> rt::ConversationResponseAlpha2 = |api, m| none(api.absent.conversation(&m.name));
    }
    requests {
        invoke_service(rt::InvokeServiceRequest) -> common::InvokeResponse = |api, r| invoke::grpc::invoke_service(&api.invoker, r).await;
        invoke_actor(rt::InvokeActorRequest) -> rt::InvokeActorResponse = |api, r| actors::grpc::invoke(&api.actors, r).await;
        publish_event(rt::PublishEventRequest) -> () = |api, r| pubsub::grpc::publish(&api.pubsub, r).await.map(Response::new);
        shutdown(rt::ShutdownRequest) -> () = |api, r| {
            api.shutdown.request(forced(&r));
            Ok(Response::new(()))
        };

        subscribe_topic_events_alpha1(Streaming<rt::SubscribeTopicEventsRequestAlpha1>) -> Self::SubscribeTopicEventsAlpha1Stream = |api, r| api.absent.subscribe_topic(r.into_inner()).await;
        subscribe_actor_events_alpha1(Streaming<rt::SubscribeActorEventsRequestAlpha1>) -> Self::SubscribeActorEventsAlpha1Stream = |api, r| api.actors.subscribe(r.into_inner()).await;
        encrypt_alpha1(Streaming<rt::EncryptRequest>) -> Self::EncryptAlpha1Stream = |api, _| none(api.absent.crypto());
        decrypt_alpha1(Streaming<rt::DecryptRequest>) -> Self::DecryptAlpha1Stream = |api, _| none(api.absent.crypto());
    }
}

fn forced<T>(request: &Request<T>) -> bool {
    request
        .metadata()
        .get("dapr-force-shutdown")
        .is_some_and(|v| v == "true")
}
