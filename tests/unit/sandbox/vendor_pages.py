"""What the vendor's pages *Get Order by ID* and *Rerun Order* show, copied: the examples the sandbox is held to."""

from __future__ import annotations

import json
from typing import Any

CURL_GET = r"""
  curl -X GET "https://api-integration.ollang.com/integration/orders/60b8d6f1e1b9b1d8c6c0d8e1" \
    -H "X-Api-Key: <your-api-key>"
"""

CURL_RERUN = r"""
  curl -X POST "https://api-integration.ollang.com/integration/orders/60b8d6f1e1b9b1d8c6c0d8e1/rerun" \
    -H "X-Api-Key: <your-api-key>" \
    -H "Content-Type: application/json" \
    -d '{}'
"""

ORDER: dict[str, Any] = json.loads("""
  {
    "id": "60b8d6f1e1b9b1d8c6c0d8e1",
    "createdAt": "2024-01-15T10:30:00Z",
    "name": "Sample Project - Episode 1",
    "sourceLanguage": "en",
    "targetLanguage": "fr",
    "type": "cc",
    "status": "completed",
    "rate": 0.15,
    "projectId": "proj_xyz789",
    "level": 0,
    "folderId": "folder_abc123",
    "vttUrl": "https://example.com/subtitles/sample_project_fr.vtt",
    "orderDocs": [
      {
        "id": "doc_123abc",
        "name": "Sample Project - Source Video",
        "url": "https://example.com/videos/sample_project.mp4",
        "type": "sourceVideo",
        "size": 1073741824,
        "duration": 7200,
        "sourceLanguage": "en",
        "createdAt": "2024-01-15T10:30:00Z",
        "updatedAt": "2024-01-15T10:30:00Z"
      },
      {
        "id": "doc_456def",
        "name": "French Subtitles",
        "url": "https://example.com/subtitles/sample_project_fr.srt",
        "type": "subtitle",
        "size": 8192,
        "wordCount": 1250,
        "sourceLanguage": "fr",
        "createdAt": "2024-01-16T14:20:00Z",
        "updatedAt": "2024-01-16T14:20:00Z"
      }
    ],
    "finance": {
      "paymentAmount": 150.75
    },
    "latestEvaluation": {
      "id": "eval_abc123def456",
      "orderId": "60b8d6f1e1b9b1d8c6c0d8e1",
      "createdAt": "2024-01-17T09:00:00Z",
      "textSummary": "The translation demonstrates good overall quality with high accuracy and natural fluency. Minor improvements suggested for cultural adaptation.",
      "scores": [
        {"name": "Accuracy", "description": "Translation accuracy and correctness", "value": 92.5},
        {"name": "Fluency", "description": "Natural flow and readability in target language", "value": 88.0},
        {"name": "Tone", "description": "Consistency with original tone and style", "value": 90.0},
        {"name": "Cultural Fit", "description": "Cultural appropriateness for target audience", "value": 85.5}
      ],
      "segmentEvals": [
        {
          "id": "seg_001",
          "explain": "Minor grammatical adjustment recommended",
          "suggestedNewValue": "Improved translation text here"
        }
      ],
      "isLoading": false
    }
  }
""")  # noqa: E501 - as the page has it

RERUN: dict[str, Any] = {
    "success": True,
    "message": "Order rerun initiated successfully",
    "orderId": "60b8d6f1e1b9b1d8c6c0d8e1",
}


def _error(error: str, message: str, code: str) -> dict[str, str]:
    return {"error": error, "message": message, "code": code}


#: Responses to GET, by status.
GET_ERRORS: dict[int, dict[str, str]] = {
    404: _error("Order not found", "No order found with the provided orderId", "ORDER_NOT_FOUND"),
    403: _error("Access denied", "You don't have permission to access this order", "ACCESS_DENIED"),
    401: _error("Unauthorized", "Invalid or missing API key", "UNAUTHORIZED"),
}
#: Responses to rerun, by status.
RERUN_ERRORS: dict[int, dict[str, str]] = {
    400: _error(
        "Order not eligible for rerun", "Only completed or delivered orders can be rerun", "ORDER_NOT_ELIGIBLE"
    ),
    404: GET_ERRORS[404],
    403: _error("Access denied", "You don't have permission to rerun this order", "ACCESS_DENIED"),
    401: GET_ERRORS[401],
}
