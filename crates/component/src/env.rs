use tokio_util::sync::CancellationToken;

/// What a component knows of its surroundings when it is opened.
#[derive(Clone, Debug)]
pub struct Env {
    /// Name of the Component resource.
    pub name: String,
    pub namespace: String,
    pub app_id: String,
    /// Cancelled when the component is closed or replaced, or when the process ends.
    pub shutdown: CancellationToken,
    pub span: tracing::Span,
}

impl Env {
    /// An environment for tests and tools.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            namespace: String::new(),
            app_id: "app".into(),
            shutdown: CancellationToken::new(),
            span: tracing::Span::none(),
        }
    }
}
