_base_ = './identity.py'
# As the public Python port. The paper has gamma=0.8, sigma=2.
model = dict(generator=dict(type='LIME', solver='sped_up', strategy=3, alpha=0.15, gamma=0.6, sigma=3.))
