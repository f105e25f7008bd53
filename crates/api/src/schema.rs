//! The wire as JSON Schema: the derives do the work; here are the words that fields hold as text,
//! and the settings that make it fit into OpenAPI 3.1.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use stepflow_model as model;

/// A generator for what the server sends: every field that is always there is required.
pub fn schemas_sent() -> SchemaGenerator {
    settings().for_serialize().into_generator()
}

/// A generator for what the server takes: fields that may be left out are not required.
pub fn schemas_received() -> SchemaGenerator {
    settings().for_deserialize().into_generator()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

/// An execution's id.
pub(crate) struct Id;

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }
}

/// The domain's words, as an enumeration of texts.
macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident = $words:expr;)+) => {
        $($(#[doc = $doc])* pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<String> = $words.map(ToString::to_string).collect();
                json_schema!({
                    "type": "string",
                    "enum": words,
                    "description": concat!($($doc),*).trim(),
                })
            }
        })+
    };
}

words! {
    /// Where an execution stands.
    Status = model::Status::ALL.iter();
    /// Where a step stands.
    StepStatus = model::StepStatus::ALL.iter();
    /// Why an execution failed or was cancelled.
    Reason = model::Reason::ALL.iter();
    /// Which of the script's streams bytes came from.
    Stream = model::Stream::ALL.iter();
    /// Who asked for an execution.
    Source = model::Source::ALL.iter();
}
