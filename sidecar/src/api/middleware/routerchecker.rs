//! `middleware.http.routerchecker`: lets through only addresses that match a rule.

use axum::extract::Request;
use axum::response::Response;
use component::metadata::Properties;
use component::{Error, Result};
use http::StatusCode;
use regex::Regex;
use serde::Deserialize;

use crate::api::error::text_response;

pub(crate) struct RouterChecker(Regex);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    rule: String,
}

impl RouterChecker {
    pub(super) fn open(properties: &Properties) -> Result<Self> {
        let config: Config = component::metadata::decode(properties)?;
        let rule = Regex::new(&config.rule);
        rule.map(Self)
            .map_err(|e| Error::config(format!("failed to compile rule regexp: {e}")))
    }

    pub(super) fn check(&self, req: &Request) -> std::result::Result<(), Box<Response>> {
        let address = req.uri().path_and_query().map_or("", |p| p.as_str());
        if self.0.is_match(address) {
            return Ok(());
        }
        Err(Box::new(text_response(
            StatusCode::BAD_REQUEST,
            "invalid router",
        )))
    }
}
