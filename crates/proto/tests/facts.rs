//! The compiled descriptors against the wire facts, both ways.
//!
//! `facts/*.tsv` holds one fact a line: what kind it is, whom it belongs to, and
//! its columns. The descriptors are written down in the same form, and the two
//! sets of lines have to be equal; so nothing can be missing, extra or different.

#![allow(clippy::unwrap_used)] // The helpers are parts of the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
};

#[test]
fn descriptors_equal_the_facts() {
    let ours: BTreeSet<String> = files().iter().flat_map(|file| Lines::of(file).0).collect();
    let facts = facts();
    let missing: Vec<_> = facts.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&facts).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not in proto/:\n{missing:#?}\nnot in the facts:\n{extra:#?}"
    );
}

#[test]
fn counts_equal_the_facts() {
    let mut ours: BTreeMap<String, [usize; KINDS.len()]> = BTreeMap::new();
    for file in files().iter().filter(|file| file.package() != "google.rpc") {
        let counts = ours.entry(page(file)).or_default();
        for line in Lines::of(file).0 {
            let kind = line.split('\t').next().unwrap_or_default();
            if let Some(column) = KINDS.iter().position(|name| *name == kind) {
                counts[column] += 1;
            }
        }
    }
    let ours: BTreeSet<String> = ours
        .iter()
        .map(|(page, counts)| format!("{page}\t{}", counts.map(|n| n.to_string()).join("\t")))
        .collect();
    let facts: BTreeSet<String> = read("counts.tsv")
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert_eq!(ours, facts);
}

/// What the columns of counts.tsv count.
const KINDS: [&str; 8] = [
    "file", "service", "method", "message", "field", "oneof", "enum", "value",
];

/// The line of counts.tsv that counts `file`: the big runtime package is counted
/// file by file, and the files without a package under their service's name.
fn page(file: &FileDescriptorProto) -> String {
    match file.package() {
        "" => "TaskHubSidecarService".to_owned(),
        package @ "dapr.proto.runtime.v1" => {
            let name = Path::new(file.name()).file_stem().unwrap();
            format!("{package}.{}", name.display())
        }
        package => package.to_owned(),
    }
}

fn files() -> Vec<FileDescriptorProto> {
    let mut files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET)
        .unwrap()
        .file;
    // Ours stand in no page of facts.
    let known = |package: &str| package != "google.protobuf" && !package.starts_with("dapr_rs.");
    files.retain(|file| known(file.package()));
    files
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/facts")
        .join(name);
    fs::read_to_string(path).unwrap()
}

fn facts() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts");
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "counts.tsv")
        .flat_map(|name| read(&name).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A file's descriptor as lines of facts.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn of(file: &FileDescriptorProto) -> Self {
        assert_eq!(file.syntax(), "proto3", "{}", file.name());
        let mut lines = Self::default();
        lines.add(&["file", file.name()]);
        for import in &file.dependency {
            lines.add(&["import", file.name(), import]);
        }
        let prefix = match file.package() {
            "" => String::new(),
            package => format!("{package}."),
        };
        for service in &file.service {
            let name = format!("{prefix}{}", service.name());
            lines.add(&["service", &name]);
            for method in &service.method {
                let deprecated = method.options.as_ref().is_some_and(|o| o.deprecated());
                lines.add(&[
                    "method",
                    &name,
                    method.name(),
                    &streamed(method.client_streaming(), method.input_type()),
                    &streamed(method.server_streaming(), method.output_type()),
                    flag(deprecated),
                ]);
            }
        }
        for message in &file.message_type {
            lines.message(&prefix, message);
        }
        for an_enum in &file.enum_type {
            lines.an_enum(&prefix, an_enum);
        }
        lines
    }

    fn message(&mut self, prefix: &str, message: &DescriptorProto) {
        let name = format!("{prefix}{}", message.name());
        let deprecated = message.options.as_ref().is_some_and(|o| o.deprecated());
        self.add(&["message", &name, flag(deprecated)]);
        for field in &message.field {
            self.field(&name, message, field);
        }
        let synthetic: BTreeSet<i32> = message
            .field
            .iter()
            .filter(|field| field.proto3_optional())
            .filter_map(|field| field.oneof_index)
            .collect();
        for (index, oneof) in (0..).zip(&message.oneof_decl) {
            if !synthetic.contains(&index) {
                self.add(&["oneof", &name, oneof.name()]);
            }
        }
        for range in &message.reserved_range {
            // The end of a descriptor's range is exclusive.
            for number in range.start()..range.end() {
                self.add(&["reserved", &name, &number.to_string()]);
            }
        }
        for reserved in &message.reserved_name {
            self.add(&["reserved", &name, reserved]);
        }
        let inner = format!("{name}.");
        for nested in message
            .nested_type
            .iter()
            .filter(|nested| !is_map_entry(nested))
        {
            self.message(&inner, nested);
        }
        for nested in &message.enum_type {
            self.an_enum(&inner, nested);
        }
    }

    fn field(&mut self, owner: &str, message: &DescriptorProto, field: &FieldDescriptorProto) {
        let map = message
            .nested_type
            .iter()
            .filter(|nested| is_map_entry(nested))
            .find(|entry| {
                field
                    .type_name()
                    .ends_with(&format!("{owner}.{}", entry.name()))
            });
        let label = match field.label() {
            _ if map.is_some() => "",
            _ if field.proto3_optional() => "optional",
            Label::Repeated => "repeated",
            Label::Optional | Label::Required => "",
        };
        let kind = match map {
            Some(entry) => format!("map<{}, {}>", kind(&entry.field[0]), kind(&entry.field[1])),
            None => kind(field),
        };
        let oneof = field
            .oneof_index
            .filter(|_| !field.proto3_optional())
            .and_then(|index| usize::try_from(index).ok())
            .map_or("", |index| message.oneof_decl[index].name());
        let deprecated = field.options.as_ref().is_some_and(|o| o.deprecated());
        self.add(&[
            "field",
            owner,
            &field.number().to_string(),
            field.name(),
            label,
            &kind,
            oneof,
            field.json_name(),
            flag(deprecated),
        ]);
    }

    fn an_enum(&mut self, prefix: &str, an_enum: &EnumDescriptorProto) {
        let name = format!("{prefix}{}", an_enum.name());
        self.add(&["enum", &name]);
        for value in &an_enum.value {
            self.add(&["value", &name, &value.number().to_string(), value.name()]);
        }
    }

    fn add(&mut self, columns: &[&str]) {
        self.0
            .push(columns.join("\t").trim_end_matches('\t').to_owned());
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
}

fn flag(deprecated: bool) -> &'static str {
    if deprecated { "deprecated" } else { "" }
}

fn streamed(stream: bool, type_name: &str) -> String {
    let name = type_name.trim_start_matches('.');
    if stream {
        format!("stream {name}")
    } else {
        name.to_owned()
    }
}

/// A field's type as .proto files write it.
fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    }
}
