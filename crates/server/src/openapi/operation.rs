//! What is said of one route.

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Value, json};

use super::Schemas;

/// What is said of one route, beside what the table says.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) parameters: Vec<Value>,
    pub(crate) body: Option<Value>,
    pub(crate) answers: Vec<(u16, Value)>,
    /// Statuses of problems that are this route's own.
    pub(crate) problems: Vec<u16>,
}

/// Describes the route `method path`; `id` is a unique name for generated clients.
pub(crate) fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
) -> Operation {
    Operation {
        method,
        path,
        id,
        tag,
        summary,
        description,
        parameters: Vec::new(),
        body: None,
        answers: Vec::new(),
        problems: Vec::new(),
    }
}

impl Operation {
    /// A parameter in the path.
    pub(crate) fn path_parameter(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
            "description": description,
        }));
        self
    }

    /// The execution `{id}`: unknown ones are 404.
    pub(crate) fn execution(self) -> Self {
        let schema = json!({"type": "string", "format": "uuid"});
        self.path_parameter("id", schema, "The execution's id.").problems(&[404])
    }

    /// The artifact `{aid}`: unknown ones are 404.
    pub(crate) fn artifact(self) -> Self {
        let pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-a[0-9]{1,9}$";
        let schema = json!({"type": "string", "pattern": pattern});
        self.path_parameter("aid", schema, "The artifact's id: `<execution>-a<number>`.")
            .problems(&[404])
    }

    /// The parameters of the query: the fields of the type that the route reads them into.
    pub(crate) fn query<T: JsonSchema>(mut self, schemas: &mut Schemas) -> Self {
        let schema = T::json_schema(&mut schemas.received);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, field) in properties.into_iter().flatten() {
            let mut field = field.clone();
            let description = field.as_object_mut().and_then(|field| field.remove("description"));
            // A parameter that is left out is not null.
            if let Some(Value::Array(kinds)) = field.get("type") {
                let kind = kinds.iter().find(|kind| *kind != "null").cloned();
                field["type"] = kind.unwrap_or(Value::Null);
            }
            self.parameters.push(json!({
                "name": name, "in": "query", "required": false, "schema": field,
                "description": description,
            }));
        }
        self
    }

    /// A header that the route reads.
    pub(crate) fn header(mut self, name: &str, schema: Value, description: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "schema": schema,
            "description": description,
        }));
        self
    }

    /// The body, with an example.
    pub(crate) fn body<T: JsonSchema>(mut self, schemas: &mut Schemas, example: Value) -> Self {
        let schema: Schema = schemas.received.subschema_for::<T>();
        self.body = Some(json!({
            "required": true,
            "content": {"application/json": {"schema": schema, "example": example}},
        }));
        self
    }

    /// A body that may be left out, with an example.
    pub(crate) fn optional_body<T: JsonSchema>(
        self,
        schemas: &mut Schemas,
        example: Value,
    ) -> Self {
        let mut operation = self.body::<T>(schemas, example);
        if let Some(body) = &mut operation.body {
            body["required"] = json!(false);
        }
        operation
    }

    /// A file: in a form with these fields, or as it is.
    pub(crate) fn file_body(mut self, fields: &[&str]) -> Self {
        let mut properties: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
        properties.insert(
            "file".to_owned(),
            json!({"type": "string", "contentMediaType": "application/octet-stream"}),
        );
        self.body = Some(json!({
            "required": true,
            "content": {
                "multipart/form-data": {"schema": {
                    "type": "object", "properties": properties, "required": ["file"],
                }},
                "application/octet-stream": {"schema": {}},
            },
        }));
        self
    }

    /// Bytes without end, whatever they say: a schema with a type would be one that they can break.
    pub(crate) fn stream_body(mut self) -> Self {
        self.body = Some(json!({
            "required": false,
            "content": {"*/*": {"schema": {}}},
        }));
        self
    }

    /// An answer in JSON, with an example.
    pub(crate) fn json<T: JsonSchema + Serialize>(
        mut self,
        schemas: &mut Schemas,
        status: u16,
        description: &str,
        example: Option<T>,
    ) -> Self {
        let schema: Schema = schemas.sent.subschema_for::<T>();
        let mut content = json!({"schema": schema});
        if let Some(example) = example {
            content["example"] = json!(example);
        }
        self.answers.push((
            status,
            json!({"description": description, "content": {"application/json": content}}),
        ));
        self
    }

    /// An answer of lines, each a JSON value, with an example of one.
    pub(crate) fn json_lines<T: JsonSchema + Serialize>(
        mut self,
        schemas: &mut Schemas,
        description: &str,
        example: Option<T>,
    ) -> Self {
        let schema: Schema = schemas.sent.subschema_for::<T>();
        let content = json!({"schema": schema, "example": example});
        self.answers.push((
            200,
            json!({"description": description, "content": {"application/x-ndjson": content}}),
        ));
        self
    }

    /// An answer without a body.
    pub(crate) fn empty(mut self, status: u16, description: &str) -> Self {
        self.answers.push((status, json!({ "description": description })));
        self
    }

    /// An answer that is not JSON.
    pub(crate) fn bytes(
        mut self,
        status: u16,
        description: &str,
        content_type: &str,
        example: Option<&str>,
    ) -> Self {
        let mut content = json!({"schema": {"type": "string"}});
        if let Some(example) = example {
            content["example"] = json!(example);
        }
        self.answers.push((
            status,
            json!({"description": description, "content": {content_type: content}}),
        ));
        self
    }

    /// Another form in which the last answer may come.
    pub(crate) fn or(mut self, content_type: &str) -> Self {
        if let Some((_, answer)) = self.answers.last_mut() {
            answer["content"][content_type] = json!({"schema": {"type": "string"}});
        }
        self
    }

    /// Server-sent events: the schema is that of one event.
    pub(crate) fn events(mut self, description: &str, names: &[&str], example: &Value) -> Self {
        let schema = json!({"type": "object", "description": "One event.", "properties": {
            "event": {"type": "string", "enum": names},
            "id": {"type": "string", "description": "A cursor."},
            "data": {"type": "string", "description": "JSON."},
        }});
        self.answers.push((
            200,
            json!({"description": description, "content":
                {"text/event-stream": {"schema": schema, "example": example}}}),
        ));
        self
    }

    /// Problems that are this route's own; those of its permission come by themselves.
    pub(crate) fn problems(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }
}

/// A failure, with an example.
pub(crate) fn problem(status: u16) -> Value {
    let (kind, title, detail, description) = match status {
        400 => ("bad-request", "Bad Request", "Invalid status: bogus", "The request is wrong."),
        401 => (
            "unauthorized",
            "Unauthorized",
            "this needs a login or a token",
            "Neither a token nor a login.",
        ),
        403 => (
            "forbidden",
            "Forbidden",
            "this needs the scope `operator`",
            "The caller may not do this, or a page of another origin calls.",
        ),
        404 => ("execution-unknown", "Not Found", "Execution not found", "There is no such thing."),
        409 => (
            "execution-finished",
            "Conflict",
            "execution 0198c2aa-0000-7000-8000-000000000001 has already ended",
            "Its state does not allow this.",
        ),
        413 => (
            "body-too-large",
            "Payload Too Large",
            "the body is larger than 1 MiB",
            "The body is too large.",
        ),
        414 => ("url-too-long", "URI Too Long", "the URL is too long", "The URL is too long."),
        415 => (
            "json-required",
            "Unsupported Media Type",
            "the body must be JSON",
            "The body is not `application/json`.",
        ),
        422 => (
            "secrets-missing",
            "Unprocessable Entity",
            "the value of TOKEN is not kept",
            "Something that is not kept must be given again.",
        ),
        416 => (
            "range",
            "Range Not Satisfiable",
            "the range begins behind the end",
            "The range begins behind the end.",
        ),
        421 => (
            "host-unknown",
            "Misdirected Request",
            "this server does not answer under this name",
            "`Host` is neither loopback nor configured.",
        ),
        426 => (
            "upgrade-required",
            "Upgrade Required",
            "this needs a WebSocket",
            "The request is no WebSocket upgrade.",
        ),
        429 => (
            "too-many-logins",
            "Too Many Requests",
            "too many failed logins: wait a minute",
            "Too many in too short a time.",
        ),
        503 => (
            "closing",
            "Service Unavailable",
            "the server is stopping",
            "Not now: try again after `Retry-After`.",
        ),
        507 => (
            "disk-low",
            "Insufficient Storage",
            "the disk of `/srv/stepflow` has 104857600 bytes free, and a new execution needs 268435456",
            "The disk is full, or has less room than `disk_min_free`: nothing was changed.",
        ),
        _ => (
            "internal",
            "Internal Server Error",
            "something went wrong in the server; its log has the details under this request_id",
            "The server's fault; its log has the details.",
        ),
    };
    json!({
        "description": description,
        "content": {"application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": {
                "type": format!("about:blank#{kind}"), "title": title, "status": status,
                "detail": detail, "error": detail, "request_id": "1f4-2a",
            },
        }},
    })
}
