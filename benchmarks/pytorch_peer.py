"""The other side of pytorch_step.py, run by an interpreter that has PyTorch.

Prints how many parameters train, and then, for each number of steps that it reads, how
many seconds they took.
"""

import sys
import time

import torch
from torch import nn


def normalize(width: int) -> nn.BatchNorm2d:
    """Batch normalization with Keras' settings."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """A residual block with pre-activation."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.norm1, self.norm2 = normalize(inputs), normalize(width)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x):
        """Feature map to feature map."""
        activated = torch.relu(self.norm1(x))
        x = torch.relu(self.norm2(self.conv1(activated)))
        return self.conv2(x) + self.shortcut(activated)


class ResNetV2(nn.Module):
    """`models.resnet_v2` with its defaults."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, 2, padding=3, bias=False)
        self.stem_norm = normalize(16)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.blocks = nn.Sequential(
            Block(16, 16, 2), Block(16, 32, 2), Block(32, 64, 2)
        )
        self.last_norm = normalize(64)
        self.logits = nn.Linear(64, 2)

    def forward(self, images):
        """uint8 RGB 0-255 of shape `(batch, 3, size, size)` to logits."""
        x = images.float() / 127.5 - 1
        x = self.pool(torch.relu(self.stem_norm(self.stem(x))))
        x = torch.relu(self.last_norm(self.blocks(x)))
        return self.logits(x.mean((2, 3)))


def main() -> None:
    """Trains whenever it is told how many steps."""
    batch_size, size, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = ResNetV2().to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.arange(batch_size) % 2
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()

    def take(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()

    take(2)
    print(sum(one.numel() for one in model.parameters()), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        take(int(line))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
