//! The client's side of the protocol without I/O, as the test client uses it.

use base64::prelude::{Engine, BASE64_STANDARD};
use django_bolt_protocol::client::{Request, Response};
use django_bolt_protocol::deflate::{self, accept_response, write_compressed_frame, Deflater};
use django_bolt_protocol::frame::{self, Opcode};
use django_bolt_protocol::reader::{Event, Input, MessageReader, ReaderConfig, Role};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use pyo3::IntoPyObjectExt;

use crate::gil_cell::GilCell;

enum Stage {
    /// Bytes of the response head so far.
    Opening(Vec<u8>),
    Open(Box<MessageReader>, Option<Deflater>),
    /// The server refused; what follows is the body.
    Rejected,
    Failed,
}

#[pyclass(frozen, module = "django_bolt._core")]
pub(crate) struct ClientProtocol {
    request: Vec<u8>,
    key: String,
    subprotocols: Vec<String>,
    /// Wishes for permessage-deflate.
    compression: Option<deflate::Config>,
    config: ReaderConfig,
    stage: GilCell<Stage>,
}

fn random<const N: usize>() -> PyResult<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(bytes)
}

fn latin1(headers: Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|(name, value)| (name, value.into_iter().map(char::from).collect()))
        .collect()
}

fn append(events: &Bound<'_, PyList>, event: impl for<'py> IntoPyObject<'py>) -> PyResult<()> {
    events.append(event.into_bound_py_any(events.py())?)
}

fn message<'py>(py: Python<'py>, opcode: Opcode, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(payload.len() + frame::MAX_HEADER);
    frame::write_frame(&mut out, opcode, payload, Some(random()?));
    Ok(PyBytes::new(py, &out))
}

fn control<'py>(py: Python<'py>, opcode: Opcode, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if payload.len() > frame::MAX_CONTROL_PAYLOAD {
        return Err(PyValueError::new_err(
            "a control frame carries at most 125 bytes (RFC 6455, section 5.5)",
        ));
    }
    message(py, opcode, payload)
}

impl ClientProtocol {
    /// Take bytes of the response head; returns what follows it once it is whole.
    fn receive_head(
        &self,
        head: &mut Vec<u8>,
        data: &[u8],
        events: &Bound<'_, PyList>,
    ) -> PyResult<Option<(Stage, Vec<u8>)>> {
        head.extend_from_slice(data);
        let offered: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let request = Request {
            target: "",
            host: "",
            key: &self.key,
            subprotocols: &offered,
            deflate: self.compression.as_ref(),
            headers: &[],
        };
        match request.parse_response(head) {
            Ok(Response::Incomplete) => Ok(None),
            Ok(Response::Accepted {
                len,
                subprotocol,
                headers,
            }) => {
                let stage = self.open(&headers);
                append(events, ("accepted", subprotocol, latin1(headers)))?;
                Ok(Some((stage, head.split_off(len))))
            }
            Ok(Response::Rejected { len, status, headers }) => {
                append(events, ("rejected", status, latin1(headers)))?;
                Ok(Some((Stage::Rejected, head.split_off(len))))
            }
            Err(error) => {
                append(events, ("failed", 1002_u16, error.to_string()))?;
                Ok(Some((Stage::Failed, Vec::new())))
            }
        }
    }

    /// Begin to read frames, compressed ones if the server's answer agrees to it.
    fn open(&self, headers: &[(String, Vec<u8>)]) -> Stage {
        let answers = headers
            .iter()
            .filter(|(name, _)| name == "sec-websocket-extensions");
        let answers = answers.map(|(_, value)| value.as_slice());
        let agreed = self
            .compression
            .and_then(|config| Some((accept_response(answers, &config).ok()??, config)));
        let Some((agreement, config)) = agreed else {
            return Stage::Open(Box::new(MessageReader::new(self.config)), None);
        };
        let reader = MessageReader::with_deflate(self.config, Some(agreement.reading(Role::Client)));
        let deflater = Deflater::new(agreement.writing(Role::Client), &config);
        Stage::Open(Box::new(reader), Some(deflater))
    }

    /// A data message, compressed if that was agreed on.
    fn data_message<'py>(
        &self,
        py: Python<'py>,
        opcode: Opcode,
        payload: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut stage = self.stage.borrow_mut(py);
        let Stage::Open(_, Some(deflater)) = &mut *stage else {
            return message(py, opcode, payload);
        };
        let mut deflated = Vec::new();
        deflater.deflate(payload, &mut deflated);
        let mut out = Vec::with_capacity(deflated.len() + frame::MAX_HEADER);
        write_compressed_frame(&mut out, opcode, &deflated, Some(random()?));
        Ok(PyBytes::new(py, &out))
    }
}

/// Read messages; false when the server broke the protocol.
fn receive_frames(reader: &mut MessageReader, data: &mut [u8], events: &Bound<'_, PyList>) -> PyResult<bool> {
    let py = events.py();
    let mut input = Input::new(data);
    loop {
        match reader.read(&mut input) {
            Ok(None) => return Ok(true),
            Ok(Some(Event::Text(text))) => append(events, ("text", text))?,
            Ok(Some(Event::Binary(data))) => append(events, ("bytes", PyBytes::new(py, data).unbind()))?,
            Ok(Some(Event::Ping(data))) => append(events, ("ping", PyBytes::new(py, data).unbind()))?,
            Ok(Some(Event::Pong(data))) => append(events, ("pong", PyBytes::new(py, data).unbind()))?,
            Ok(Some(Event::Close(close))) => append(events, ("close", close.code, close.reason))?,
            Err(error) => {
                append(events, ("failed", error.close_code(), error.to_string()))?;
                return Ok(false);
            }
        }
    }
}

#[pymethods]
impl ClientProtocol {
    #[new]
    #[pyo3(signature = (target, host, headers=None, subprotocols=None, compression=false,
        max_message_size=67_108_864))]
    fn new(
        target: &str,
        host: &str,
        headers: Option<Vec<(String, String)>>,
        subprotocols: Option<Vec<String>>,
        compression: bool,
        max_message_size: u64,
    ) -> PyResult<Self> {
        let (headers, subprotocols) = (headers.unwrap_or_default(), subprotocols.unwrap_or_default());
        let key = BASE64_STANDARD.encode(random::<16>()?);
        let mut request = Vec::new();
        let pairs: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let offered: Vec<&str> = subprotocols.iter().map(String::as_str).collect();
        let compression = compression.then(deflate::Config::default);
        Request {
            target,
            host,
            key: &key,
            subprotocols: &offered,
            deflate: compression.as_ref(),
            headers: &pairs,
        }
        .write(&mut request)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let config = ReaderConfig {
            role: Role::Client,
            max_frame_size: max_message_size,
            max_message_size,
            max_fragments: u32::MAX,
        };
        let stage = GilCell::new(Stage::Opening(Vec::new()));
        Ok(Self {
            request,
            key,
            subprotocols,
            compression,
            config,
            stage,
        })
    }

    fn request<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.request)
    }

    fn receive_data<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        let mut data = data.to_vec();
        // Taken out while Python objects are made, so that no borrow is held meanwhile.
        let mut stage = std::mem::replace(&mut *self.stage.borrow_mut(py), Stage::Failed);
        if let Stage::Opening(head) = &mut stage {
            if let Some((next, rest)) = self.receive_head(head, &data, &events)? {
                (stage, data) = (next, rest);
            }
        }
        let has_failed = match &mut stage {
            Stage::Open(reader, _) => !receive_frames(reader, &mut data, &events)?,
            Stage::Rejected if !data.is_empty() => {
                append(&events, ("body", PyBytes::new(py, &data).unbind()))?;
                false
            }
            _ => false,
        };
        if has_failed {
            stage = Stage::Failed;
        }
        *self.stage.borrow_mut(py) = stage;
        Ok(events)
    }

    fn text<'py>(&self, py: Python<'py>, data: &str) -> PyResult<Bound<'py, PyBytes>> {
        self.data_message(py, Opcode::Text, data.as_bytes())
    }

    fn binary<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.data_message(py, Opcode::Binary, data)
    }

    #[pyo3(signature = (data=None))]
    fn ping<'py>(&self, py: Python<'py>, data: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
        control(py, Opcode::Ping, data.unwrap_or_default())
    }

    #[pyo3(signature = (data=None))]
    fn pong<'py>(&self, py: Python<'py>, data: Option<&[u8]>) -> PyResult<Bound<'py, PyBytes>> {
        control(py, Opcode::Pong, data.unwrap_or_default())
    }

    #[pyo3(signature = (code=1000, reason=""))]
    fn close<'py>(&self, py: Python<'py>, code: Option<u16>, reason: &str) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::new();
        frame::write_close(&mut out, code, reason, Some(random()?));
        Ok(PyBytes::new(py, &out))
    }
}
