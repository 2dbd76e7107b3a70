//! Conversations with a language model.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::Result;

#[async_trait]
pub trait Conversation: Send + Sync + 'static {
    async fn converse(&self, req: Request) -> Result<Response>;

    /// Ends connections and tasks.
    async fn close(&self) {}
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Sent to the model when above 0.
    pub temperature: f64,
    /// A JSON schema for the answer.
    pub response_format: Option<Value>,
    pub prompt_cache_retention: Option<Duration>,
    pub context: Option<String>,
    pub parameters: Map<String, Value>,
    pub metadata: BTreeMap<String, String>,
}

/// Who speaks decides what a message can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Developer(Speech),
    System(Speech),
    User(Speech),
    Assistant {
        speech: Speech,
        tool_calls: Vec<ToolCall>,
    },
    Tool {
        id: Option<String>,
        speech: Speech,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Speech {
    pub name: Option<String>,
    /// Texts of the message, in order.
    pub content: Vec<String>,
}

/// A function that the model may ask to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON schema of an object.
    pub parameters: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    /// The name of a tool of the request.
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub id: Option<String>,
    pub name: String,
    /// JSON text, as the model wrote it.
    pub arguments: String,
}

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub outputs: Vec<Output>,
    pub context: Option<String>,
}

/// What the model answered to one input.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub choices: Vec<Choice>,
    pub model: Option<String>,
    /// `None` when the totals are all 0.
    pub usage: Option<Usage>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// `unknown` when the model gave none.
    pub finish_reason: String,
    pub index: i64,
    pub content: String,
    pub tool_calls: Vec<ToolCall>,
}

/// Tokens; a group of details is `None` when all of it is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub completion: u64,
    pub prompt: u64,
    pub total: u64,
    pub completion_details: Option<CompletionDetails>,
    pub prompt_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompletionDetails {
    pub accepted_prediction: u64,
    pub audio: u64,
    pub reasoning: u64,
    pub rejected_prediction: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptDetails {
    pub audio: u64,
    pub cached: u64,
}
