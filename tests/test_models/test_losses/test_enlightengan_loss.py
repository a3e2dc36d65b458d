import pytest
import torch
import torch.nn.functional as F
from golden import Golden
from torchvision.models.vgg import cfgs, make_layers

from mmskf.models import GlobalLocalDiscriminator, GlobalLocalGANLoss, SelfFeatureLoss
from mmskf.models.losses.enlightengan_loss import contents
from mmskf.structures import WindowedOutputs

CASE = 'a_64x96'


def part(weights, prefix):
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def test_golden(tmp_path):
    """Every term, the scores and features behind it, and the gradients as in the reference, whose images are in [-1, 1]."""
    golden = Golden('enlightengan_losses')
    inputs, weights = golden.inputs(CASE), golden.weights()
    discriminator = GlobalLocalDiscriminator().double()
    discriminator.of_images.load_state_dict(part(weights, 'D_A.'))
    discriminator.of_patches.load_state_dict(part(weights, 'D_P.'))
    torch.save(part(weights, 'vgg.'), tmp_path / 'vgg16.weight')
    feature_loss, gan_loss = SelfFeatureLoss(tmp_path / 'vgg16.weight', form='authors'), GlobalLocalGANLoss()
    fake = inputs['fake'].double().requires_grad_()
    real, low = ((inputs[name].double() + 1) / 2 for name in ('real', 'x'))
    top, left = inputs['offsets'].long().unbind(dim=1)
    outputs = WindowedOutputs((fake + 1) / 2, low, torch.stack([top, top + 32, left, left + 32], dim=1))

    of_features, adversarial = feature_loss(outputs), gan_loss.generator_loss(discriminator, outputs, real)
    golden.check(CASE, 'vgg_relu5_1', feature_loss.features(outputs.image))
    golden.check(CASE, 'vgg_full', of_features['feature_image'])
    golden.check(CASE, 'vgg_patch', of_features['feature_patches'])
    golden.check(CASE, 'G_global', adversarial['loss_GAN_global'])
    golden.check(CASE, 'G_local', adversarial['loss_GAN_local'])
    loss = of_features['loss_recon'] + adversarial['loss_GAN_global'] + adversarial['loss_GAN_local']
    golden.check(CASE, 'loss_G', loss)
    loss.backward()
    golden.check(CASE, 'grad_fake', fake.grad)
    assert all(weight.grad is None for weight in discriminator.parameters())

    losses = gan_loss.discriminator_loss(discriminator, outputs, real)
    golden.check(CASE, 'loss_D_A', losses['loss_D_global'])
    golden.check(CASE, 'loss_D_P', losses['loss_D_local'])
    before = fake.grad.clone()
    (losses['loss_D_global'] + losses['loss_D_local']).backward()
    assert torch.equal(fake.grad, before)
    for name, weight in (('D_A_grad:model.0.bias', discriminator.of_images.model[0].bias),
                         ('D_A_grad:model.12.weight', discriminator.of_images.model[12].weight),
                         ('D_P_grad:model.0.bias', discriminator.of_patches.model[0].bias)):
        golden.check(CASE, name, weight.grad)
    for name, images in (('fake', outputs.image), ('real', real)):
        whole, patches = discriminator(images, contents(images, outputs.windows))
        golden.check(CASE, f'D_A_{name}', whole)
        golden.check(CASE, f'D_P_{name}0', patches[:2])


def test_parameters():
    discriminator = GlobalLocalDiscriminator()
    counts = [sum(weight.numel() for weight in net.parameters()) for net in (discriminator.of_images, discriminator.of_patches)]
    assert counts == [11_154_369, 6_959_553]


def test_windows():
    """Anywhere in the image, but the last row and column, as released."""
    loss = GlobalLocalGANLoss(num_patches=2000)
    windows = loss.windows(torch.zeros(1, 3, 36, 40))
    assert set(windows[:, 0].tolist()) == set(range(4)) and set(windows[:, 2].tolist()) == set(range(8))
    assert torch.equal(windows[:, 1::2] - windows[:, ::2], torch.full((2000, 2), 32))
    images = torch.arange(2 * 36 * 40.).view(2, 1, 36, 40)
    top, left = windows[1, 0], windows[1, 2]
    assert torch.equal(contents(images, windows)[3], images[1, :, top:top + 32, left:left + 32])
    with pytest.raises(ValueError, match='crops are 64x32, but .* patches of 32x32 .* set a larger crop_size'):
        loss.windows(torch.zeros(1, 3, 32, 64))


@pytest.fixture(scope='module')
def vgg(tmp_path_factory):
    """A VGG16 of torchvision with random weights, without its classifier, and the file of its weights."""
    torch.manual_seed(0)
    layers = make_layers(cfgs['D'])
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save({f'features.{key}': value for key, value in layers.state_dict().items()}, path)
    return layers.eval(), path


def test_features_of_torchvision(vgg):
    """Normalized as torchvision's networks expect; the fourth of their poolings is left out."""
    layers, path = vgg
    loss = SelfFeatureLoss(path)
    images = torch.rand(2, 2, 3, 32, 48)
    windows = torch.tensor([[0, 16, 0, 16], [8, 24, 20, 36]])
    terms = loss(WindowedOutputs(*images, windows))

    def features(x):
        x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        for number, layer in enumerate(layers[:26]):
            x = x if number == 23 else layer(x)
        return x

    def distance(a, b):
        a, b = ((x - x.mean(dim=(2, 3), keepdim=True)) / (x.var(dim=(2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
                for x in (features(a), features(b)))
        return F.mse_loss(a, b).item()

    patches = [distance(*(image[..., top:bottom, left:right] for image in images)) for top, bottom, left, right in windows]
    assert features(images[0]).shape == (2, 512, 4, 6)
    assert terms['feature_image'].item() == pytest.approx(distance(*images), rel=1e-4)
    assert terms['feature_patches'].item() == pytest.approx(sum(patches) / 2, rel=1e-4)
    assert terms['loss_recon'] == terms['feature_image'] + terms['feature_patches']
    assert not loss.state_dict() and not list(loss.parameters())


def test_without_weights(tmp_path, monkeypatch):
    """Nothing is read before the first use; no file in the cache gives one warning, a file that is named must be there."""
    log = []
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr('mmskf.models.losses.enlightengan_loss.print_log', lambda message, **kwargs: log.append(message))
    outputs = WindowedOutputs(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32), torch.zeros(0, 4))
    loss, named = SelfFeatureLoss(), SelfFeatureLoss(tmp_path / 'nowhere.pth')
    assert not log
    assert loss(outputs) == loss(outputs) == {}
    path = f'{tmp_path}/checkpoints/vgg16-397923af.pth'
    assert len(log) == 1 and f'is off: it needs the weights of VGG16, but there is no file {path}' in log[0]
    with pytest.raises(FileNotFoundError, match='no file .*nowhere.pth, named for the weights of vgg16'):
        named(outputs)
    torch.save({'features.0.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match="other.pth is not a state dict of vgg16 of form='torchvision'"):
        SelfFeatureLoss(tmp_path / 'other.pth')(outputs)
    with pytest.raises(ValueError, match="form='caffe': choose from torchvision, authors"):
        SelfFeatureLoss(form='caffe')
