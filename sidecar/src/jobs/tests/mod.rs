mod api;
mod events;

use super::*;
use crate::api::pipeline::Pipeline;
use crate::app::App;
use crate::flags::AppConfig;

fn app(port: Option<u16>, protocol: &str) -> App {
    let config = AppConfig {
        port,
        protocol: protocol.into(),
        address: "127.0.0.1".into(),
        max_concurrency: None,
        token: "secret".into(),
        ask_config: false,
        health: None,
    };
    App::new(&config, 4096, Pipeline::default(), None, None).unwrap()
}

fn events(app: &App) -> Events {
    Events {
        app: app.clone(),
        tracer: None,
        metrics: None,
    }
}
