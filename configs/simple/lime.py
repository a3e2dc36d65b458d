_base_ = './identity.py'
# As in the public Python port. The paper uses gamma=0.8, sigma=2.
model = dict(generator=dict(type='LIME', solver='sped_up', strategy=3, alpha=0.15, gamma=0.6, sigma=3.))
