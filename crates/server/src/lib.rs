//! Routes, auth, WebSocket, SSE, the embedded UI
