"""Collectives read from programs' texts, in the forms that compilers write them."""

import pytest

from posejax.plan import collectives
from posejax.plan.collectives import Collective

CASES = {
  'one array': (
    '%r.1 = f32[256,4]{1,0:T(8,128)} all-reduce(%a), channel_id=1, replica_groups={{0,1},{2,3}}, '
    'use_global_device_ids=true, to_apply=%add',
    Collective('all-reduce', 4096, 2, False),
  ),
  'several arrays, types and an index comment': (
    '  ROOT %r = (f32[]{:T(128)}, bf16[3,5]{1,0:T(8,128)(2,1)S(1)}, /*index=2*/pred[7]) all-reduce(%a, '
    '%b, %c), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add',
    Collective('all-reduce', 4 + 30 + 7, 8, False),
  ),
  'groups as a grid': (
    'g = f32[4,2,64]{2,1,0} all-gather(x), dimensions={0}, replica_groups=[2,4]<=[4,2]T(1,0)',
    Collective('all-gather', 2048, 4, False),
  ),
  'all devices': (
    '%r = f32[10] all-reduce(%a), replica_groups={}, to_apply=%add',
    Collective('all-reduce', 40, 8, False),
  ),
  'what is scattered is as large as all results': (
    '%s = f32[1,2,256]{2,1,0} reduce-scatter(%x), replica_groups={{0,1},{2,3},{4,5},{6,7}}, '
    'dimensions={0}, to_apply=%add',
    Collective('reduce-scatter', 2 * 2048, 2, False),
  ),
  'a started reduction': (
    '%r = (f32[8]{0}, f32[2,2]{1,0}) all-reduce-start(%a, %b), replica_groups=[1,8]<=[8], to_apply=%add',
    Collective('all-reduce', 48, 8, True),
  ),
  'a started gather has operands and results': (
    '%g = (f32[1,16]{1,0}, f32[8,16]{1,0}) all-gather-start(%a), replica_groups=[1,8]<=[8]',
    Collective('all-gather', 512, 8, True),
  ),
  'a started gather of several': (
    '%g = ((f32[1,16]{1,0}, s8[1,3]), (f32[8,16]{1,0}, s8[8,3])) all-gather-start(%a, %b), '
    'replica_groups=[1,8]<=[8]',
    Collective('all-gather', 512 + 24, 8, True),
  ),
  'a started permutation has context': (
    '%p = (bf16[6]{0}, bf16[6]{0}, u32[], u32[]) collective-permute-start(%a), '
    'source_target_pairs={{0,1},{1,0}}',
    Collective('collective-permute', 12, 8, True),
  ),
  'exchange of all with all': (
    '%x = (f32[2], f32[2]) all-to-all(%a, %b), replica_groups={{0,1}}',
    Collective('all-to-all', 16, 2, False),
  ),
}


@pytest.mark.parametrize('name', CASES)
def test_each_form(name):
  line, expected = CASES[name]
  assert collectives.read(line, 8) == [expected]


def test_what_a_computation_started_elsewhere_does_is_asynchronous():
  text = """
%wrapped (p: f32[8,4]) -> f32[1,4] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %s = f32[1,4]{1,0} reduce-scatter(%p), replica_groups=[1,8]<=[8], dimensions={0}, to_apply=%add
}

ENTRY %main (p: f32[8,4]) -> f32[1,4] {
  %p = f32[8,4]{1,0} parameter(0)
  %begin = ((f32[8,4]{1,0}), f32[1,4]{1,0}, u32[]) async-start(%p), calls=%wrapped
  %beside = f32[2]{0} all-reduce(%q), replica_groups=[1,8]<=[8], to_apply=%add
  ROOT %end = f32[1,4]{1,0} async-done(%begin)
}
"""
  assert collectives.read(text, 8) == [
    Collective('reduce-scatter', 128, 8, True),
    Collective('all-reduce', 8, 8, False),
  ]


def test_what_only_mentions_one_is_none():
  text = """
  %d = f32[8] all-reduce-done(%r)
  %a = f32[8] add(%all-reduce.1, %b), metadata={op_name="psum all-reduce(x)"}
"""
  assert collectives.read(text, 8) == []


SLICES = """
ENTRY %main (p: f32[4]) -> f32[4] {
  %r = f32[12,8,128]{2,1,0:T(8,128)} all-reduce(%a), replica_groups={{0,1,2,3}}, to_apply=%add
  %send = (f32[3,8,128]{2,1,0:T(8,128)}, u32[], token[]) send(%b, %after-all), channel_id=2, \
is_host_transfer=true, frontend_attributes={_xla_host_transfer_rendezvous="all-reduce.19_0",\
_xla_megascale_target="{1,2,3,4}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %send-done = token[] send-done(%send), channel_id=2, is_host_transfer=true
  %send.1 = (bf16[5]{0}, u32[], token[]) send(%c, %after-all.1), channel_id=4, is_host_transfer=true, \
frontend_attributes={_xla_megascale_target="{0:7}x{0:3}",_xla_megascale_transfer_type="ALL_GATHER"}
  %send-done.1 = token[] send-done(%send.1), channel_id=4, is_host_transfer=true
  %recv = (f32[3,8,128]{2,1,0:T(8,128)}, u32[], token[]) recv(%after-all), channel_id=1, \
is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv-done = (f32[3,8,128]{2,1,0:T(8,128)}, token[]) recv-done(%recv), channel_id=1
  %send.2 = (f32[2]{0}, u32[], token[]) send(%d, %after-all.2), channel_id=6, is_host_transfer=true, \
frontend_attributes={_xla_megascale_target="{0,1}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %callback = (f32[2]{0}, u32[], token[]) send(%e, %after-all.3), channel_id=8, is_host_transfer=true
}
"""


def test_what_goes_between_slices_is_sent_and_received():
  # In the form of libtpu 0.0.42; what is sent before anything is received is on the way together.
  assert collectives.read(SLICES, 16) == [
    Collective('all-reduce', 12 * 4096, 4, False),
    Collective('all-reduce', 3 * 4096, 4, False, between_slices=True),
    Collective('all-gather', 10, 8, False, between_slices=True, is_joined=True),
    Collective('all-reduce', 8, 2, False, between_slices=True),
  ]


LOOP = """
%body.7 (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %r.1 = f32[4]{0} all-reduce(%a), replica_groups={{0,1}}, to_apply=%add
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %w = (s32[], f32[4]) while(%t), body=%body.7, backend_config={"known_trip_count":{"n":"3"}}
  %r.2 = f32[2]{0} all-reduce(%b), replica_groups={{0,1}}, to_apply=%add
}
"""


def test_one_in_a_loop_is_there_as_often_as_the_loop_runs():
  assert [one.size for one in collectives.read(LOOP, 2)] == [16, 16, 16, 8]
