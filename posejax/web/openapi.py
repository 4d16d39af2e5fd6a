"""The API in words that machines read: OpenAPI 3.1."""

from typing import Any

import posejax
from posejax.web.limits import Limits

_NUMBER = {'type': 'number'}
_CONFIDENCE = {'type': 'number', 'minimum': 0, 'maximum': 1}
_TEXT = {'type': 'string'}
_COUNT = {'type': 'integer', 'minimum': 0}


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
  return {
    'type': 'object',
    'properties': properties,
    'required': [name for name in properties if name not in optional],
    'additionalProperties': False,
  }


def _list(items: dict[str, Any], **more: Any) -> dict[str, Any]:
  return {'type': 'array', 'items': items, **more}


def _reference(name: str) -> dict[str, str]:
  return {'$ref': f'#/components/schemas/{name}'}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
  return {'description': description, 'content': {'application/json': {'schema': schema}}}


def _schemas() -> dict[str, Any]:
  return {
    'Error': _object({'error': _TEXT | {'description': 'What is wrong and what would be right.'}}),
    'Keypoint': _object(
      {
        'name': _TEXT,
        'x': _NUMBER
        | {'description': 'In pixels of the upright picture, pixel centres at integers.'},
        'y': _NUMBER,
        'score': _CONFIDENCE,
        'visible': {'type': 'boolean', 'description': 'Whether score reaches the threshold.'},
      }
    ),
    'Instance': _object(
      {
        'label': _TEXT | {'description': 'One of the class names.'},
        'score': _CONFIDENCE,
        'box': _list(_NUMBER, minItems=4, maxItems=4)
        | {'description': 'x1, y1, x2, y2 in pixels.'},
        'track_id': {'type': 'integer'},
        'keypoints': _list(_reference('Keypoint')),
      },
      optional=('track_id', 'keypoints'),
    ),
    'Result': _object(
      {
        'name': _TEXT | {'description': "The file's name as it was sent; `image` without one."},
        'height': _COUNT,
        'width': _COUNT,
        'instances': _list(_reference('Instance')) | {'description': 'The surest first.'},
      }
    ),
    'Refused': _object({'name': _TEXT, 'error': _TEXT}),
    'Predictions': _object(
      {
        'model': _TEXT,
        'milliseconds': {'type': 'number', 'minimum': 0},
        'results': _list({'anyOf': [_reference('Result'), _reference('Refused')]}, minItems=1)
        | {'description': 'One for each picture, in the order sent.'},
      }
    ),
    'Model': _object(
      {
        'name': _TEXT,
        'class_names': _list(_TEXT, minItems=1),
        'keypoints': _list(_TEXT),
        'limbs': _list(_list(_COUNT, minItems=2, maxItems=2))
        | {'description': 'Pairs of places in keypoints.'},
        'sides': _list({'enum': ['left', 'right', 'middle']})
        | {'description': "The person's own side of each keypoint."},
        'colors': {
          'type': 'object',
          'additionalProperties': _list(_COUNT, minItems=3, maxItems=3),
          'description': 'RGB by side.',
        },
        'threshold': _CONFIDENCE,
        'limits': _object({'request_bytes': _COUNT, 'picture_pixels': _COUNT, 'pictures': _COUNT}),
      }
    ),
  }


def _predict(limits: Limits) -> dict[str, Any]:
  error = _reference('Error')
  return {
    'summary': 'Find people, or whatever the net names, on pictures.',
    'description': (
      f'At most {limits.pictures} pictures of {limits.picture_pixels:,} pixels each and '
      f'{limits.request_bytes:,} bytes together; at most {limits.instances} instances are named for '
      'each. JPEG, PNG, WebP, GIF (its first picture), BMP and TIFF; EXIF orientation is applied. '
      'Nothing is kept.'
    ),
    'operationId': 'predict',
    'parameters': [
      {
        'name': 'threshold',
        'in': 'query',
        'description': (
          'From which confidence on a keypoint is visible or, of a model without keypoints, anything is '
          "named; the model's own where unset, below which it names nothing."
        ),
        'schema': _CONFIDENCE,
      }
    ],
    'requestBody': {
      'required': True,
      'content': {
        'multipart/form-data': {
          'schema': _object(
            {
              'image': _list(
                {'type': 'string', 'contentMediaType': 'application/octet-stream'},
                minItems=1,
                maxItems=limits.pictures,
              )
            }
          )
        },
        'image/*': {'schema': {'type': 'string', 'format': 'binary'}},
      },
    },
    'responses': {
      '200': _json('At least one picture could be read.', _reference('Predictions')),
      '400': _json(
        'No picture or too many, an unknown field or option, or a bad threshold.', error
      ),
      '403': _json("Another site's page asks, or a name that is not this server's.", error),
      '408': _json('The request took too long to arrive.', error),
      '413': _json('Too many bytes.', error),
      '415': _json('Neither multipart/form-data nor image/*.', error),
      '422': _json('No picture could be read; each says why.', _reference('Predictions')),
      '503': _json('Too much waits; Retry-After says when to come again.', error)
      | {'headers': {'Retry-After': {'schema': _COUNT}}},
    },
  }


def _get(summary: str, response: dict[str, Any], **more: Any) -> dict[str, Any]:
  return {'get': {'summary': summary, 'responses': {'200': response, **more}}}


def document(limits: Limits) -> dict[str, Any]:
  """Return the OpenAPI document of a server with these limits."""
  refused = _json("Asked by a name that is not this server's.", _reference('Error'))
  return {
    'openapi': '3.1.0',
    'info': {
      'title': 'posejax',
      'version': posejax.__version__,
      'description': 'Keypoints and classes of what is on pictures.',
    },
    'paths': {
      '/api/v1/predict': {'post': _predict(limits)},
      '/api/v1/model': _get(
        'What the net can name.', _json('Names.', _reference('Model')), **{'403': refused}
      ),
      '/healthz': _get(
        'Whether the server answers.', _json('It does.', _object({'status': {'const': 'ok'}}))
      ),
      '/metrics': _get(
        'Counters in the text format of Prometheus.',
        {'description': 'Counters.', 'content': {'text/plain': {'schema': _TEXT}}},
      ),
      '/openapi.json': _get('This document.', _json('It.', {'type': 'object'})),
    },
    'components': {'schemas': _schemas()},
  }
