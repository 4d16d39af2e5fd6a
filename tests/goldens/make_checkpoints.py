"""Write small checkpoints with PyTorch itself: `checkpoint_zip.pth`, `checkpoint_legacy.pth` and what
they hold, `checkpoint.npz`.

    pip install torch==2.13.0 numpy
    python tests/goldens/make_checkpoints.py
"""

import collections
import os

import numpy as np
import torch

FOLDER = os.path.dirname(os.path.abspath(__file__))


def main():
  torch.manual_seed(0)
  base = torch.randn(6, 5, 4)
  tensors = collections.OrderedDict(
    base=base,
    slice=base[1:5:2, :, 1],
    transposed=base.transpose(0, 2),
    parameter=torch.nn.Parameter(torch.randn(3)),
    bfloat16=torch.randn(4).bfloat16(),
    half=torch.randn(4).half(),
    double=torch.randn(2).double(),
    scalar=torch.tensor(7),
    boolean=torch.tensor([True, False]),
    channels_last=torch.randn(1, 3, 4, 5).to(memory_format=torch.channels_last),
    expanded=torch.randn(1, 2).expand(3, 2),
    empty=torch.zeros(0, 3),
  )
  # As `state_dict()` leaves it on its result.
  state = collections.OrderedDict((f'module.{name}', t) for name, t in tensors.items())
  state._metadata = collections.OrderedDict({'': {'version': 1}})
  net = torch.nn.Linear(2, 2)
  net(torch.ones(1, 2)).sum().backward()
  optimizer = torch.optim.Adam(net.parameters())
  optimizer.step()
  run = {
    'epoch': 3,
    'model': 'pose_resnet',  # the HRNet project keeps the net's name here
    'state_dict': state,
    'best_perf': np.float64(0.7),
    'meta': {'sigmas': np.arange(3.0), 'names': np.array(['a', None], object), 'ids': {1, 2}},
    'note': b'bytes',
    'optimizer': optimizer.state_dict(),
  }
  torch.save(run, os.path.join(FOLDER, 'checkpoint_zip.pth'))
  path = os.path.join(FOLDER, 'checkpoint_legacy.pth')
  torch.save(run, path, _use_new_zipfile_serialization=False)
  values = {name: t.detach() for name, t in tensors.items()}
  values['bfloat16'] = values['bfloat16'].float()
  np.savez(os.path.join(FOLDER, 'checkpoint.npz'), **{n: t.numpy() for n, t in values.items()})


if __name__ == '__main__':
  main()
