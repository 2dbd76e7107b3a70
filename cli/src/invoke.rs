//! `dapr invoke`: calls a method of an application through its own sidecar.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    api::{self, Sidecar},
    instances,
    output::{self, Report},
};

/// Longer than any sensible method; what takes longer should not be called by hand.
const DEADLINE: Duration = Duration::from_secs(300);

/// What no address may hold as it is. A method may have a query, and escapes of its own.
const UNFIT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

const EXAMPLES: &str = "\
Examples:
  dapr invoke --app-id orders --method status --verb GET
  dapr invoke --app-id orders --method orders --data '{\"item\": \"widget\"}'
  dapr invoke --app-id orders --method orders --data-file order.json";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application to call
    #[arg(short, long, value_name = "ID")]
    app_id: String,

    /// The method to call
    #[arg(short, long, value_name = "NAME")]
    method: String,

    /// The data to send, JSON
    #[arg(short, long, value_name = "JSON")]
    data: Option<String>,

    /// A file with the data to send
    #[arg(short = 'f', long, value_name = "FILE")]
    data_file: Option<PathBuf>,

    /// The HTTP verb
    #[arg(short, long, default_value = "POST")]
    verb: String,

    /// The folder of the sidecar's unix sockets, when it has them
    #[arg(short, long, value_name = "DIR")]
    unix_domain_socket: Option<String>,
}

pub(crate) async fn execute(args: &Args, report: Report) -> Result<u8> {
    let body = payload(args.data.as_ref(), args.data_file.as_ref())?;
    let verb = Method::from_bytes(args.verb.to_uppercase().as_bytes())
        .with_context(|| format!("{:?} is not an HTTP verb", args.verb))?;
    let body = send(args, verb, body)
        .await
        .with_context(|| format!("error invoking app {}", args.app_id))?;
    if !body.is_empty() {
        // As it came: it may be no text at all.
        output::print_bytes(&[&body[..], b"\n"].concat());
    }
    report.success("App invoked successfully");
    Ok(0)
}

async fn send(args: &Args, verb: Method, body: Bytes) -> Result<Bytes> {
    let api = find(&args.app_id, args.unix_domain_socket.as_deref()).await?;
    let path = format!("/v1.0/invoke/{}/method/{}", args.app_id, args.method);
    let path = utf8_percent_encode(&path, UNFIT).to_string();
    let answer = api
        .call(verb, &path, Some("application/json"), body, DEADLINE)
        .await?;
    if !(200..400).contains(&answer.status.as_u16()) {
        bail!(
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    Ok(answer.body)
}

/// The API of an application's sidecar: at the given sockets, else as its process says.
pub(crate) async fn find(app_id: &str, socket_dir: Option<&str>) -> Result<Sidecar> {
    match socket_dir {
        Some(dir) => Ok(Sidecar::Unix(api::socket(dir, app_id, "http"))),
        None => Ok(instances::of_app(app_id).await?.api),
    }
}

/// The data given on the command line or in a file; nothing when there is neither.
pub(crate) fn payload(data: Option<&String>, file: Option<&PathBuf>) -> Result<Bytes> {
    match (data, file) {
        (Some(_), Some(_)) => bail!("only one of --data and --data-file may be given"),
        (Some(data), None) => Ok(data.clone().into()),
        (None, Some(file)) => {
            let data = std::fs::read(file)
                .with_context(|| format!("error reading payload from {}", file.display()))?;
            Ok(data.into())
        }
        (None, None) => Ok(Bytes::new()),
    }
}
