"""launch/k8s_jobset.yaml: fields that JobSet and Kubernetes know, and numbers that agree."""

import pytest
import yaml

from posejax.process import distributed
from posejax.train import stop
from tests.launch.test_scripts import LAUNCH

_POD = {
  'restartPolicy': str,
  'terminationGracePeriodSeconds': int,
  'nodeSelector': dict,
  'tolerations': list,
  'subdomain': str,
  'containers': [
    {
      'name': str,
      'image': str,
      'workingDir': str,
      'command': [str],
      'args': [str],
      'env': [
        {'name': str, 'value': str, 'valueFrom': {'fieldRef': {'fieldPath': str}}},
      ],
      'ports': [{'containerPort': int}],
      'resources': {'limits': dict, 'requests': dict},
      'volumeMounts': [{'name': str, 'mountPath': str}],
    }
  ],
  'volumes': [{'name': str, 'persistentVolumeClaim': {'claimName': str}}],
}
_JOB = {
  'completionMode': str,
  'parallelism': int,
  'completions': int,
  'backoffLimit': int,
  'podFailurePolicy': {
    'rules': [
      {
        'action': str,
        'onExitCodes': {'containerName': str, 'operator': str, 'values': [int]},
        'onPodConditions': [{'type': str, 'status': str}],
      }
    ]
  },
  'template': {'spec': _POD},
}
# Those of the published schema that a launcher may use, written down by hand; their types by Python's.
# Source: kubernetes-sigs/jobset, config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml, 0.6 to 0.12.
_JOBSET = {
  'apiVersion': str,
  'kind': str,
  'metadata': {'name': str, 'namespace': str, 'labels': dict, 'annotations': dict},
  'spec': {
    'failurePolicy': {
      'maxRestarts': int,
      'rules': [
        {
          'name': str,
          'action': str,
          'onJobFailureReasons': [str],
          'targetReplicatedJobs': [str],
        }
      ],
    },
    'replicatedJobs': [{'name': str, 'replicas': int, 'template': {'spec': _JOB}}],
  },
}


def unknown(value, schema, where=''):
  """Return what of a document its schema does not have, each with its path."""
  if isinstance(schema, dict) and isinstance(value, dict):
    strange = [f'{where}.{key}' for key in value.keys() - schema.keys()]
    known = value.keys() & schema.keys()
    return strange + [
      w for key in known for w in unknown(value[key], schema[key], f'{where}.{key}')
    ]
  if isinstance(schema, list) and isinstance(value, list):
    return [w for i, item in enumerate(value) for w in unknown(item, schema[0], f'{where}[{i}]')]
  return [] if isinstance(schema, type) and type(value) is schema else [where]


@pytest.fixture
def jobset():
  return yaml.safe_load((LAUNCH / 'k8s_jobset.yaml').read_text())


def test_it_has_no_field_that_jobset_has_not(jobset):
  assert unknown(jobset, _JOBSET) == []
  assert (jobset['apiVersion'], jobset['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')


def test_the_check_finds_a_wrong_name_and_a_wrong_type(jobset):
  (job,) = jobset['spec']['replicatedJobs']
  job['template']['spec']['backofLimit'] = 0
  (container,) = job['template']['spec']['template']['spec']['containers']
  container['env'][1]['value'] = 2  # Kubernetes refuses a number here
  assert sorted(unknown(jobset, _JOBSET)) == [
    '.spec.replicatedJobs[0].template.spec.backofLimit',
    '.spec.replicatedJobs[0].template.spec.template.spec.containers[0].env[1].value',
  ]


def test_it_counts_its_pods_once(jobset):
  (job,) = jobset['spec']['replicatedJobs']
  template = job['template']['spec']
  (container,) = template['template']['spec']['containers']
  variables = {variable['name']: variable.get('value', '1') for variable in container['env']}
  plan = distributed.plan(variables)
  assert plan['num_processes'] == template['parallelism'] == template['completions']
  name = jobset['metadata']['name']
  assert plan['coordinator_address'].startswith(f'{name}-{job["name"]}-0-0.{name}:')
  port = int(plan['coordinator_address'].rpartition(':')[2])
  assert port in [entry['containerPort'] for entry in container['ports']]


def test_a_run_that_was_stopped_begins_again_and_is_not_counted(jobset):
  (job,) = jobset['spec']['replicatedJobs']
  template = job['template']['spec']
  stopped, disrupted = template['podFailurePolicy']['rules']
  (container,) = template['template']['spec']['containers']
  assert stopped['onExitCodes']['containerName'] == container['name']
  assert stopped['onExitCodes']['values'] == [stop.EXIT_CODE]
  assert disrupted['onPodConditions'][0]['type'] == 'DisruptionTarget'
  # Kubernetes takes a pod failure policy of such pods only.
  assert template['template']['spec']['restartPolicy'] == 'Never'
  (rule,) = jobset['spec']['failurePolicy']['rules']
  assert rule['action'] == 'RestartJobSetAndIgnoreMaxRestarts'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']
